using Microsoft.Extensions.DependencyInjection;

namespace ActiveActive.Testing;

/// <summary>The services that a node's configuration registers: its resolvers. Each is a singleton of its node.</summary>
internal sealed class NodeServices(IServiceCollection services) : IServiceProvider
{
    private readonly Dictionary<Type, object> _made = [];

    public object? GetService(Type serviceType)
    {
        if (serviceType == typeof(IServiceProvider)) return this;
        if (_made.TryGetValue(serviceType, out var made)) return made;
        if (services.LastOrDefault(s => s.ServiceType == serviceType && !s.IsKeyedService) is not { } service) return null;
        made = service.ImplementationInstance ?? service.ImplementationFactory?.Invoke(this)
            ?? ActivatorUtilities.CreateInstance(this, service.ImplementationType!);
        _made.Add(serviceType, made);
        return made;
    }
}

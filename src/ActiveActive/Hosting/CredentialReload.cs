using ActiveActive.Credentials;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Primitives;

namespace ActiveActive.Hosting;

/// <summary>Gives a node the credentials of its configuration whenever that changes, as a start of the node would; nothing else of it.</summary>
internal sealed partial class CredentialReload : IDisposable
{
    private readonly Action<ReplicationNodeBuilder> _configure;
    private readonly CredentialStore _store;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly Lock _gate = new();
    private readonly IDisposable _registration;

    public CredentialReload(IConfiguration section, Action<ReplicationNodeBuilder> configure, CredentialStore store, TimeProvider time, ILogger logger)
    {
        (_configure, _store, _time, _logger) = (configure, store, time, logger);
        _registration = ChangeToken.OnChange(section.GetReloadToken, Reload);
    }

    public void Dispose() => _registration.Dispose();

    private void Reload()
    {
        // Whoever changes the configuration gets no exception for it: that may be a file watcher.
        lock (_gate)
        {
            var options = new ReplicationNodeOptions();
            try
            {
                // Services are registered once, at the start.
                _configure(new ReplicationNodeBuilder(new ServiceCollection(), options));
            }
            catch (Exception e)
            {
                LogNotReloaded(options.Name ?? "", e is FormatException ? e.Message : $"a {e.GetType().Name} was thrown");
                return;
            }

            var problems = ReplicationNodeOptionsValidator.Validate(options);
            if (problems.Count > 0)
            {
                LogNotReloaded(options.Name ?? "", string.Join(" ", problems));
                return;
            }

            _store.Replace(new NodeCredentials(options, _time));
            LogReloaded(options.Name!);
        }
    }

    [LoggerMessage(EventId = 3056, Level = LogLevel.Information, Message = "AA3056: the credentials of node '{Node}' and its peers were read again, since the configuration has changed")]
    private partial void LogReloaded(string node);

    [LoggerMessage(EventId = 3057, Level = LogLevel.Warning, Message = "AA3057: the configuration has changed, and node '{Node}' goes on with the credentials that it had: {Reason}")]
    private partial void LogNotReloaded(string node, string reason);
}

using System.Reflection;

namespace ActiveActive.Hosting;

/// <summary>Which version of this library runs.</summary>
internal static class LibraryVersion
{
    /// <summary>Without the commit that it was built from.</summary>
    public static string Text { get; } =
        typeof(LibraryVersion).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion.Split('+')[0] ?? "unknown";
}

using System.Runtime.CompilerServices;
using ActiveActive.Diagnostics;

namespace ActiveActive.Postgres.Tests.Servers;

/// <summary>
/// <c>ACTIVEACTIVE_SWITCHED_OFF=KnownFiles dotnet test …</c> runs without that safeguard, to see its test go red. Not by a test itself: the switch is the process's, and
/// tests run side by side.
/// </summary>
internal static class SwitchedOff
{
#pragma warning disable CA2255 // A test assembly is an application's code.
    [ModuleInitializer]
    internal static void Read()
    {
        if (Environment.GetEnvironmentVariable("ACTIVEACTIVE_SWITCHED_OFF") is { Length: > 0 } name) Safeguards.SwitchOff(Enum.Parse<Safeguard>(name));
    }
}

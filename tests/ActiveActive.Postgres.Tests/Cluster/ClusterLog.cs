using Microsoft.Extensions.Logging;

namespace ActiveActive.Postgres.Tests.Cluster;

/// <summary>Collects what the hosts log, for the message of a test that fails.</summary>
internal sealed class ClusterLog(string node, List<string> lines) : ILoggerProvider, ILogger
{
    public ILogger CreateLogger(string categoryName) => this;

    public IDisposable? BeginScope<TState>(TState state) where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) => true;

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
    {
        lock (lines) lines.Add($"{DateTime.UtcNow:HH:mm:ss.fff} {node} {logLevel} {formatter(state, exception)} {exception}");
    }

    public void Dispose()
    {
    }
}

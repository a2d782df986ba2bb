using DotNet.Testcontainers.Builders;
using DotNet.Testcontainers.Containers;
using Testcontainers.PostgreSql;

namespace ActiveActive.Testing;

/// <summary>
/// Runs the server in a container. It is stopped after a crash of the test process by the resource reaper of
/// Testcontainers. <see cref="KillAsync"/> sends SIGQUIT to the container's first process, which no signal from inside
/// can kill: like a crash, it ends without a checkpoint.
/// </summary>
internal sealed class ContainerServerHost(int majorVersion, PostgresServerOptions options) : IServerHost
{
    private PostgreSqlContainer? _container;

    public string? DataDirectory => null;

    public int? ProcessId => null;

    public bool HasExited => _container is null or { State: TestcontainersStates.Exited or TestcontainersStates.Dead };

    /// <summary>The first answer of a Docker engine, or why there is none.</summary>
    public static string? WhyUnavailable()
    {
        try
        {
            _ = new PostgreSqlBuilder("postgres:18").Build();
            return null;
        }
        catch (DockerUnavailableException)
        {
            return "no engine answers";
        }
        catch (ArgumentException e)
        {
            return e.Message.Split('\n')[0];
        }
    }

    public Task InitialiseAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public async Task LaunchAsync(int port, CancellationToken cancellationToken)
    {
        // The port is fixed, since Docker would pick another one at the next start.
        _container ??= new PostgreSqlBuilder($"postgres:{majorVersion}")
            .WithUsername(ServerConfiguration.Superuser)
            .WithPassword(ServerConfiguration.SuperuserPassword)
            .WithPortBinding(port, PostgreSqlBuilder.PostgreSqlPort)
            .WithCommand([.. ServerConfiguration.Settings(options).SelectMany(s => (string[])["-c", $"{s.Key}={s.Value}"])])
            .Build();
        await _container.StartAsync(cancellationToken);
    }

    public async Task StopAsync(PostgresStopMode mode, CancellationToken cancellationToken)
    {
        if (mode is PostgresStopMode.Immediate)
            await KillAsync(cancellationToken);
        else if (!HasExited)
            await _container!.StopAsync(cancellationToken);
    }

    public async Task KillAsync(CancellationToken cancellationToken)
    {
        if (HasExited)
            return;
        await _container!.ExecAsync(["sh", "-c", "kill -QUIT 1"], cancellationToken);
        await _container.StopAsync(cancellationToken);
    }

    public async Task<string> ReadLogAsync(CancellationToken cancellationToken)
    {
        if (_container is null)
            return "";
        (string output, string error) = await _container.GetLogsAsync(ct: cancellationToken);
        return output + error;
    }

    public async ValueTask DisposeAsync()
    {
        if (_container is not null)
            await _container.DisposeAsync();
    }
}

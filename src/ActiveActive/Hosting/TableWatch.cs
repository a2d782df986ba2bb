using ActiveActive.Database;
using Microsoft.Extensions.Logging;

namespace ActiveActive.Hosting;

/// <summary>
/// Has tables published that the application creates while the node runs: one loop of a node's life. One that can't be replicated as it is stops nothing; it is told, and tried again.
/// </summary>
internal sealed partial class TableWatch(NodeName self, ILocalDatabase database, TimeProvider timeProvider, ILogger logger)
{
    private static readonly TimeSpan s_interval = TimeSpan.FromSeconds(10);

    private string? _told;

    public async Task RunAsync(CancellationToken cancellationToken)
    {
        using var timer = new PeriodicTimer(s_interval, timeProvider);
        while (await timer.WaitForNextTickAsync(cancellationToken))
        {
            try
            {
                var tables = await database.PublishNewTablesAsync(cancellationToken);
                foreach (var table in tables.Published)
                {
                    if (table.HasRows) LogPublishedWithRows(self, table.Name);
                    else LogPublished(self, table.Name);
                }

                Tell(tables.Problem);
            }
            catch (ReplicationException e) when (!cancellationToken.IsCancellationRequested)
            {
                // Another instance that sets up says nothing of the tables.
                if (e.Kind != ReplicationErrorKind.InUse) Tell(e.Message);
            }
        }
    }

    private void Tell(string? problem)
    {
        if (problem is not null && _told != problem) LogNotPublished(self, problem);
        _told = problem;
    }

    [LoggerMessage(EventId = 3030, Level = LogLevel.Information, Message = "AA3030: node '{Node}' replicates table {Table} from now on")]
    private partial void LogPublished(NodeName node, TableName table);

    [LoggerMessage(EventId = 3031, Level = LogLevel.Warning, Message = "AA3031: node '{Node}' replicates table {Table} from now on, but not the rows that it has already. Update them (UPDATE … SET a column to itself) once every node has the table")]
    private partial void LogPublishedWithRows(NodeName node, TableName table);

    [LoggerMessage(EventId = 3032, Level = LogLevel.Warning, Message = "AA3032: node '{Node}' does not replicate a table that was created since it started: {Reason}")]
    private partial void LogNotPublished(NodeName node, string reason);
}

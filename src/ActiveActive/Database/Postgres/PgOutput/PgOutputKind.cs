namespace ActiveActive.Database.Postgres.PgOutput;

/// <summary>The first byte of a pgoutput message; the kinds of protocol version 1.</summary>
internal enum PgOutputKind : byte
{
    Begin = (byte)'B',
    Commit = (byte)'C',
    Origin = (byte)'O',
    Relation = (byte)'R',
    Type = (byte)'Y',
    Insert = (byte)'I',
    Update = (byte)'U',
    Delete = (byte)'D',
    Truncate = (byte)'T',
    LogicalMessage = (byte)'M',
}

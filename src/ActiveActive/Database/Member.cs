namespace ActiveActive.Database;

/// <summary>A node of the cluster, as the database of one of its nodes knows it.</summary>
/// <param name="Name">The node.</param>
/// <param name="HasJoined">Whether it has its copy of the data. Until then what it will need is held for it, and nothing comes from it.</param>
internal sealed record Member(NodeName Name, bool HasJoined);

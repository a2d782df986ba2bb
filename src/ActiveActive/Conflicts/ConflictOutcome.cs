namespace ActiveActive;

/// <summary>What became of the remote change of a conflict.</summary>
public enum ConflictOutcome
{
    /// <summary>The remote version was applied.</summary>
    ApplyRemote,

    /// <summary>The local version stayed.</summary>
    KeepLocal,

    /// <summary>A row made of both versions, or a delta added to the version that stayed.</summary>
    Merge,

    /// <summary>There was nothing to apply it to: the change was recorded and skipped.</summary>
    Skip,
}

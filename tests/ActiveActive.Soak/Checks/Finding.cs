namespace ActiveActive.Soak.Checks;

/// <summary>Something that a check found.</summary>
/// <param name="IsLost">An acknowledged write is not where it should be; else nodes differ, or something stands that should not.</param>
/// <param name="Text">What and where.</param>
internal sealed record Finding(bool IsLost, string Text);

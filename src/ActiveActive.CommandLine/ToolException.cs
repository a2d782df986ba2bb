namespace ActiveActive.CommandLine;

/// <summary>Why a verb could not do its work: a code of docs/ERRORS.md, and a sentence that names the thing and the fix.</summary>
internal sealed class ToolException(string code, string message, int exitCode) : Exception(message)
{
    public string Code => code;

    public int ExitCode => exitCode;
}

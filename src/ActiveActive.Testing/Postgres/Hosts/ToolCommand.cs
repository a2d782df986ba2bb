using System.ComponentModel;
using System.Diagnostics;

namespace ActiveActive.Testing;

/// <summary>How a tool ended and what it wrote, both streams together.</summary>
internal sealed record ToolResult(int ExitCode, string Output)
{
    public bool Succeeded => ExitCode == 0;
}

/// <summary>Runs a program to its end. A program that cannot be started counts as one that failed.</summary>
internal static class ToolCommand
{
    public static async Task<ToolResult> RunAsync(
        string program, IReadOnlyList<string> arguments, CancellationToken cancellationToken, string? user = null)
    {
        ProcessStartInfo start = StartInfo(program, arguments, user);
        start.RedirectStandardInput = true;
        start.RedirectStandardOutput = true;
        start.RedirectStandardError = true;
        using Process process = new() { StartInfo = start };
        try
        {
            process.Start();
        }
        catch (Win32Exception e)
        {
            return new ToolResult(-1, e.Message);
        }

        process.StandardInput.Close();
        try
        {
            Task<string> output = process.StandardOutput.ReadToEndAsync(cancellationToken);
            Task<string> error = process.StandardError.ReadToEndAsync(cancellationToken);
            await Task.WhenAll(output, error);
            await process.WaitForExitAsync(cancellationToken);
            return new ToolResult(process.ExitCode, await output + await error);
        }
        catch (OperationCanceledException)
        {
            process.Kill(entireProcessTree: true);
            throw;
        }
    }

    /// <summary>A start that does not depend on the caller's folder, language or libpq variables.</summary>
    public static ProcessStartInfo StartInfo(string program, IReadOnlyList<string> arguments, string? user)
    {
        ProcessStartInfo start = new(program, arguments)
        {
            UseShellExecute = false,
            CreateNoWindow = true,
            WorkingDirectory = OperatingSystem.IsWindows() ? Path.GetTempPath() : "/",
        };
        if (user is not null)
            start.UserName = user;
        foreach (string name in start.Environment.Keys.Where(k => k.StartsWith("PG", StringComparison.Ordinal)).ToList())
            start.Environment.Remove(name);
        start.Environment["LC_ALL"] = "C";
        return start;
    }
}

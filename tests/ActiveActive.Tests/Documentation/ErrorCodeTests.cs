using System.Text.RegularExpressions;

namespace ActiveActive.Tests.Documentation;

/// <summary>Every code that a log event or a refusal carries is explained in docs/ERRORS.md, and none other. (Set-up's own: SetUpCheckTests.)</summary>
public sealed partial class ErrorCodeTests
{
    [Fact]
    public void Codes_of_events_and_refusals_are_those_of_the_document()
    {
        var root = RepositoryRoot();
        var sources = Directory.EnumerateFiles(Path.Combine(root, "src"), "*.cs", SearchOption.AllDirectories)
            .Where(path => !path.Contains($"{Path.DirectorySeparatorChar}obj{Path.DirectorySeparatorChar}", StringComparison.Ordinal));
        var used = sources.SelectMany(path => CodeInText().Matches(File.ReadAllText(path))).Select(m => m.Groups[1].Value);
        var explained = Anchor().Matches(File.ReadAllText(Path.Combine(root, "docs", "ERRORS.md"))).Select(m => m.Groups[1].Value).ToList();

        Assert.Equal(explained.Count, explained.Distinct().Count());
        Assert.Equal(explained.Order(), used.Where(code => !code.StartsWith("AA1", StringComparison.Ordinal)).Distinct().Order());
    }

    [Fact]
    public void Event_ids_equal_the_codes_in_their_messages()
    {
        var events = Directory.EnumerateFiles(Path.Combine(RepositoryRoot(), "src"), "*.cs", SearchOption.AllDirectories)
            .SelectMany(path => LogEvent().Matches(File.ReadAllText(path))).ToList();

        Assert.NotEmpty(events);
        Assert.All(events, e => Assert.Equal($"AA{int.Parse(e.Groups[1].Value, System.Globalization.CultureInfo.InvariantCulture):0000}", e.Groups[2].Value));
        Assert.Equal(events.Count, events.Select(e => e.Groups[1].Value).Distinct().Count());
    }

    private static string RepositoryRoot()
    {
        var folder = new DirectoryInfo(AppContext.BaseDirectory);
        while (folder is not null && !folder.EnumerateFiles("*.sln").Any()) folder = folder.Parent;
        Assert.True(folder is not null, "The repository's root is not above the test's output.");
        return folder.FullName;
    }

    [GeneratedRegex("\"(AA[0-9]{4})[\":]")]
    private static partial Regex CodeInText();

    [GeneratedRegex("<a id=\"(AA[023-9][0-9]{3})\"></a>")]
    private static partial Regex Anchor();

    [GeneratedRegex("LoggerMessage\\(EventId = ([0-9]+),.*Message = \"(AA[0-9]{4}):")]
    private static partial Regex LogEvent();
}

using System.Text;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using NpgsqlTypes;

namespace ActiveActive.AspNetCore.Tests;

/// <summary>What README.md shows must compile and work: its C# stands in <see cref="ReadmeSamples"/>, its JSON binds.</summary>
public sealed class ReadmeTests
{
    private static readonly string[] s_settings =
    [
        "--ConnectionStrings:App=Host=localhost;Database=app;Username=app", "--ActiveActive:SharedToken=a-token-of-some-length",
    ];

    [Fact]
    public void Every_line_of_C_sharp_stands_in_the_compiled_samples_in_order()
    {
        var compiled = Lines(File.ReadAllText(Path.Combine(RepositoryRoot(), "tests", "ActiveActive.AspNetCore.Tests", "ReadmeSamples.cs")));
        var blocks = Blocks("csharp");

        Assert.True(blocks.Count >= 5, $"README.md has {blocks.Count} C# blocks.");
        foreach (var block in blocks)
        {
            var from = 0;
            foreach (var line in Lines(block))
            {
                var at = compiled.IndexOf(line, from);
                Assert.True(at >= 0, $"README.md shows the line '{line}', which ReadmeSamples.cs does not have (there, or in that order).");
                from = at + 1;
            }
        }
    }

    [Fact]
    public async Task Application_of_the_sample_has_a_node_with_its_peer_and_answers_on_the_path()
    {
        await using var app = ReadmeSamples.Application(s_settings);
        var node = app.Services.GetRequiredService<ReplicationNode>();

        Assert.Equal("eu", node.Name.Value);
        Assert.Equal("us", Assert.Single(node.Status.Peers).Peer.Value);
        Assert.Contains(((IEndpointRouteBuilder)app).DataSources.SelectMany(s => s.Endpoints), e => e is RouteEndpoint { RoutePattern.RawText: "/active-active" });
    }

    [Fact]
    public async Task Settings_of_the_sample_bind_and_are_valid()
    {
        var json = Blocks("json").Single(block => block.Contains("\"ActiveActive\"", StringComparison.Ordinal));
        var builder = WebApplication.CreateSlimBuilder();
        builder.Configuration.AddJsonStream(new MemoryStream(Encoding.UTF8.GetBytes(json)));
        ReadmeSamples.Bind(builder);
        await using var app = builder.Build();

        Assert.Equal("eu", app.Services.GetRequiredService<ReplicationNode>().Name.Value);
    }

    [Fact]
    public void Resolver_of_the_sample_unites_tags_and_keeps_the_rest_of_the_later_row()
    {
        var resolution = new TagUnion().Resolve(new Conflict
        {
            Table = new("public", "profiles"),
            Local = Row.Of(("id", "1"), ("name", "Ann"), ("tags", "{b,a}")),
            LocalVersion = new(new CommitTimestamp(1), new NodeName("eu"), new NpgsqlLogSequenceNumber(1)),
            Remote = Row.Of(("id", "1"), ("name", "Anna"), ("tags", "{c,b}")),
            RemoteVersion = new(new CommitTimestamp(2), new NodeName("us"), new NpgsqlLogSequenceNumber(1)),
        });

        Assert.Equal(Row.Of(("id", "1"), ("name", "Anna"), ("tags", "{a,b,c}")), resolution.Merged);
    }

    private static List<string> Blocks(string language)
    {
        var blocks = new List<string>();
        foreach (var part in File.ReadAllText(Path.Combine(RepositoryRoot(), "README.md")).ReplaceLineEndings("\n").Split($"```{language}\n").Skip(1))
        {
            blocks.Add(part[..part.IndexOf("```", StringComparison.Ordinal)]);
        }

        return blocks;
    }

    private static List<string> Lines(string text) => [.. text.ReplaceLineEndings("\n").Split('\n').Select(line => line.Trim()).Where(line => line.Length > 0)];

    private static string RepositoryRoot()
    {
        var folder = new DirectoryInfo(AppContext.BaseDirectory);
        while (folder is not null && !folder.EnumerateFiles("*.sln").Any()) folder = folder.Parent;
        Assert.True(folder is not null, "The repository's root is not above the test's output.");
        return folder.FullName;
    }
}

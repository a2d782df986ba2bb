using System.Diagnostics;
using System.IO.Compression;

namespace ActiveActive.AspNetCore.Tests;

/// <summary>What <c>dotnet pack</c> makes of the projects that this assembly was built with.</summary>
public sealed class PackageTests
{
#if DEBUG
    private const string Configuration = "Debug";
#else
    private const string Configuration = "Release";
#endif

    [Theory]
    [InlineData("ActiveActive")]
    [InlineData("ActiveActive.AspNetCore")]
    [InlineData("ActiveActive.Testing")]
    [InlineData("ActiveActive.CommandLine")]
    public async Task Package_has_readme_licence_documentation_and_symbols(string project)
    {
        var output = Directory.CreateTempSubdirectory("activeactive-pack-");
        try
        {
            await PackAsync(project, output.FullName);
            var package = Assert.Single(output.GetFiles("*.nupkg"));
            using var contents = await ZipFile.OpenReadAsync(package.FullName, TestContext.Current.CancellationToken);
            Assert.Superset(
                new HashSet<string> { "README.md", $"lib/net10.0/{project}.dll", $"lib/net10.0/{project}.xml" }, contents.Entries.Select(e => e.FullName).ToHashSet());
            using var specification = new StreamReader(contents.GetEntry($"{project}.nuspec")!.Open());
            var text = await specification.ReadToEndAsync(TestContext.Current.CancellationToken);
            foreach (var part in (string[])["<readme>README.md</readme>", "<license type=\"expression\">MIT</license>", "<description>", "<repository type=\"git\""])
            {
                Assert.Contains(part, text, StringComparison.Ordinal);
            }

            using var symbols = await ZipFile.OpenReadAsync(Assert.Single(output.GetFiles("*.snupkg")).FullName, TestContext.Current.CancellationToken);
            Assert.Contains(symbols.Entries, e => e.FullName == $"lib/net10.0/{project}.pdb");
        }
        finally
        {
            output.Delete(recursive: true);
        }
    }

    private static async Task PackAsync(string project, string output)
    {
        var file = Path.Combine(RepositoryRoot(), "src", project, $"{project}.csproj");
        var start = new ProcessStartInfo(Environment.GetEnvironmentVariable("DOTNET_HOST_PATH") ?? "dotnet", ["pack", file, "--no-build", "-c", Configuration, "-o", output, "-nodeReuse:false"])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        using var process = Process.Start(start)!;
        var said = process.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
        var errors = process.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
        await process.WaitForExitAsync(TestContext.Current.CancellationToken);
        Assert.True(process.ExitCode == 0, $"dotnet pack {project} failed: {await errors} {await said}");
        Assert.DoesNotContain("warning", await said, StringComparison.Ordinal);
    }

    private static string RepositoryRoot()
    {
        var folder = new DirectoryInfo(AppContext.BaseDirectory);
        while (folder is not null && !folder.EnumerateFiles("*.sln").Any()) folder = folder.Parent;
        Assert.True(folder is not null, "The repository's root is not above the test's output.");
        return folder.FullName;
    }
}

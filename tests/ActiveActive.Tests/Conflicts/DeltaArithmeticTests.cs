using System.Globalization;
using System.Numerics;
using ActiveActive.Conflicts;

namespace ActiveActive.Tests.Conflicts;

public sealed class DeltaArithmeticTests
{
    [Fact]
    public void Sums_are_those_of_exact_decimals_and_keep_the_greatest_scale()
    {
        var seed = Environment.TickCount;
        var random = new Random(seed);
        for (var i = 0; i < 5_000; i++)
        {
            var (local, old, now) = (Number(random), Number(random), Number(random));
            var expected = (local + now - old).ToString(CultureInfo.InvariantCulture);
            // .NET prints a negative zero's sign nowhere, PostgreSQL neither.
            Assert.True(expected == Add("numeric", Text(local), Text(old), Text(now)), $"seed {seed}: {local} + {now} - {old}");
        }
    }

    [Fact]
    public void Integers_of_any_size_add_up_exactly()
    {
        var seed = Environment.TickCount;
        var random = new Random(seed);
        for (var i = 0; i < 1_000; i++)
        {
            var (local, old, now) = (Big(random), Big(random), Big(random));
            Assert.True((local + now - old).ToString(CultureInfo.InvariantCulture) == Add("numeric", $"{local}", $"{old}", $"{now}"), $"seed {seed}: {local} + {now} - {old}");
        }
    }

    [Fact]
    public void Order_of_deltas_does_not_matter()
    {
        var random = new Random(7);
        var deltas = Enumerable.Range(0, 50).Select(_ => (Old: Text(Number(random)), New: Text(Number(random)))).ToList();
        var forth = deltas.Aggregate("0", (sum, d) => Add("numeric", sum, d.Old, d.New));
        var back = deltas.AsEnumerable().Reverse().Aggregate("0", (sum, d) => Add("numeric", sum, d.Old, d.New));
        Assert.Equal(forth, back);
    }

    [Theory]
    [InlineData("$1,234.56", "$0.00", "-$2,000.00", "-$765.44")]
    [InlineData("$0.05", "$0.10", "$0.04", "-$0.01")]
    [InlineData("$999.99", "$0.00", "$0.01", "$1,000.00")]
    public void Money_reads_and_writes_what_the_c_locale_prints(string local, string old, string now, string sum) => Assert.Equal(sum, Add("money", local, old, now));

    [Theory]
    [InlineData("smallint", "32767")]
    [InlineData("integer", "2147483647")]
    [InlineData("bigint", "9223372036854775807")]
    [InlineData("money", "$92,233,720,368,547,758.07")]
    public void Sum_out_of_the_types_range_overflows(string type, string greatest)
    {
        var (zero, one) = type == "money" ? ("$0.00", "$0.01") : ("0", "1");
        Assert.Equal(greatest, Add(type, greatest, one, one));
        Assert.Throws<OverflowException>(() => Add(type, greatest, zero, one));
    }

    [Theory]
    [InlineData("NaN")]
    [InlineData("Infinity")]
    [InlineData("-Infinity")]
    [InlineData("")]
    [InlineData("-")]
    [InlineData("1e5")]
    public void What_is_no_number_has_no_delta(string text) => Assert.Throws<FormatException>(() => Add("numeric", "1", "1", text));

    private static string Add(string type, string local, string old, string now) => DeltaArithmetic.Add(type, local, old, now);

    private static decimal Number(Random random) => new(random.Next(), random.Next(3) == 0 ? random.Next() : 0, 0, random.Next(2) == 0, (byte)random.Next(7));

    private static BigInteger Big(Random random)
    {
        var bytes = new byte[random.Next(1, 60)];
        random.NextBytes(bytes);
        return new BigInteger(bytes);
    }

    private static string Text(decimal value) => value.ToString(CultureInfo.InvariantCulture);
}

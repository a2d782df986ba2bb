using System.Globalization;
using System.Numerics;

namespace ActiveActive.Conflicts;

/// <summary>
/// Exact addition on the text form of PostgreSQL's numbers: <c>local + (new − old)</c>. Exact and unbounded, so the order in which
/// deltas arrive can't matter; that is why floating-point columns are refused at set-up.
/// </summary>
internal static class DeltaArithmetic
{
    /// <param name="typeName">The column's type as <c>format_type</c> prints it.</param>
    /// <param name="local">The value that stands here.</param>
    /// <param name="oldValue">What the writer replaced.</param>
    /// <param name="newValue">What the writer wrote.</param>
    /// <exception cref="OverflowException">The sum does not fit the type.</exception>
    /// <exception cref="FormatException">A value is NaN, infinite or no number: such a value has no delta.</exception>
    public static string Add(string typeName, string local, string oldValue, string newValue)
    {
        var isMoney = typeName == "money";
        var sum = Parse(local, isMoney).Plus(Parse(newValue, isMoney)).Minus(Parse(oldValue, isMoney));
        switch (typeName)
        {
            case "smallint":
                RequireRange(sum, short.MinValue, short.MaxValue, typeName);
                break;
            case "integer":
                RequireRange(sum, int.MinValue, int.MaxValue, typeName);
                break;
            case "bigint":
                RequireRange(sum, long.MinValue, long.MaxValue, typeName);
                break;
            case "money":
                RequireRange(sum, long.MinValue, long.MaxValue, typeName);
                return sum.ToMoney();
        }

        return sum.ToString();
    }

    private static void RequireRange(ExactNumber sum, long least, long greatest, string typeName)
    {
        if (sum.Unscaled < least || sum.Unscaled > greatest) throw new OverflowException($"the sum is out of range for type {typeName}.");
    }

    private static ExactNumber Parse(string text, bool isMoney)
    {
        var span = text.AsSpan();
        var negative = false;
        if (isMoney)
        {
            // lc_monetary = C prints -$1,234.56
            text = text.Replace("$", "", StringComparison.Ordinal).Replace(",", "", StringComparison.Ordinal);
            span = text;
        }

        if (span.StartsWith("-"))
        {
            negative = true;
            span = span[1..];
        }

        var point = span.IndexOf('.');
        var scale = point < 0 ? 0 : span.Length - point - 1;
        var digits = point < 0 ? span.ToString() : string.Concat(span[..point], span[(point + 1)..]);
        if (!BigInteger.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out var unscaled))
        {
            throw new FormatException("the value is NaN, infinite or not a number.");
        }

        return new ExactNumber(negative ? -unscaled : unscaled, scale);
    }

    /// <summary>Unscaled × 10^−Scale; the scale is kept as PostgreSQL's numeric does, the greater of the operands'.</summary>
    private readonly record struct ExactNumber(BigInteger Unscaled, int Scale)
    {
        public ExactNumber Plus(ExactNumber other)
        {
            var scale = Math.Max(Scale, other.Scale);
            return new(At(scale) + other.At(scale), scale);
        }

        public ExactNumber Minus(ExactNumber other) => Plus(new(-other.Unscaled, other.Scale));

        public string ToMoney() => string.Create(CultureInfo.InvariantCulture, $"{(Unscaled.Sign < 0 ? "-" : "")}${BigInteger.Abs(Unscaled) / 100:N0}.{(int)(BigInteger.Abs(Unscaled) % 100):00}");

        public override string ToString()
        {
            var digits = BigInteger.Abs(Unscaled).ToString(CultureInfo.InvariantCulture);
            if (Scale > 0)
            {
                digits = digits.PadLeft(Scale + 1, '0');
                digits = $"{digits[..^Scale]}.{digits[^Scale..]}";
            }

            return Unscaled.Sign < 0 ? "-" + digits : digits;
        }

        private BigInteger At(int scale) => Unscaled * BigInteger.Pow(10, scale - Scale);
    }
}

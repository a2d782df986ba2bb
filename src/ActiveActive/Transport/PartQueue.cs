using System.Diagnostics.CodeAnalysis;
using System.Threading.Channels;
using ActiveActive.Changes;

namespace ActiveActive.Transport;

/// <summary>
/// What was received and is not applied yet: many small transactions, or few large parts. Bounded by size; one part always has room. One writer, one
/// reader.
/// </summary>
internal sealed class PartQueue(long maxCharacters)
{
    // What a change costs beside its texts.
    private const int CharactersPerChange = 64;

    private readonly Channel<(ChangeTransaction Part, long Characters)> _parts = Channel.CreateUnbounded<(ChangeTransaction, long)>(
        new UnboundedChannelOptions { SingleReader = true, SingleWriter = true });

    private readonly Lock _lock = new();
    private long _characters;
    private TaskCompletionSource? _room;

    /// <summary>Adds a part; waits while the queue is full.</summary>
    public async ValueTask WriteAsync(ChangeTransaction part, CancellationToken cancellationToken)
    {
        var characters = CharactersOf(part);
        while (RoomFor(characters) is { } room) await room.WaitAsync(cancellationToken);
        _parts.Writer.TryWrite((part, characters));
    }

    /// <summary>Nothing more will be written.</summary>
    public void Complete() => _parts.Writer.Complete();

    /// <summary>False once it is complete and empty.</summary>
    public ValueTask<bool> WaitToReadAsync(CancellationToken cancellationToken) => _parts.Reader.WaitToReadAsync(cancellationToken);

    public bool TryPeek([NotNullWhen(true)] out ChangeTransaction? part, out long characters)
    {
        var isThere = _parts.Reader.TryPeek(out var next);
        (part, characters) = next;
        return isThere;
    }

    public bool TryRead([NotNullWhen(true)] out ChangeTransaction? part)
    {
        var isThere = _parts.Reader.TryRead(out var next);
        part = next.Part;
        if (isThere) Release(next.Characters);
        return isThere;
    }

    /// <summary>Null where the part was let in.</summary>
    private Task? RoomFor(long characters)
    {
        lock (_lock)
        {
            if (_characters == 0 || _characters + characters <= maxCharacters)
            {
                _characters += characters;
                return null;
            }

            return (_room ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously)).Task;
        }
    }

    private void Release(long characters)
    {
        TaskCompletionSource? room;
        lock (_lock)
        {
            _characters -= characters;
            // Not for each part: writer and reader would take turns, a part at a time.
            if (_characters > maxCharacters / 2) return;
            room = _room;
            _room = null;
        }

        room?.TrySetResult();
    }

    private static long CharactersOf(ChangeTransaction part)
    {
        var characters = (part.Changes.Count + 1L) * CharactersPerChange;
        foreach (var change in part.Changes)
        {
            foreach (var value in change.NewRow ?? []) characters += value.Size;
            foreach (var value in change.OldRow ?? []) characters += value.Size;
        }

        return characters;
    }
}

"""What counts as equal. README.md gives the reason for each exception."""


def outcome(text):
    """Only whether it failed: the texts are for people and each supervisor words them its own way."""
    return text is not None


def asked(calls):
    ret = []
    for call in calls:
        if call[0] == "send":  # no result promise is null for one, absent for the other
            _, target, message = call
            call = ["send", target, {"methargs": message["methargs"], "result": message.get("result")}]
        ret.append(call)
    return ret


def difference(published, ours):
    """What differs between two (outcome, asked, store), as text; None when they are equal."""
    if outcome(published[0]) != outcome(ours[0]):
        return f"the published worker's outcome is {published[0]!r}, ours {ours[0]!r}"
    theirs, mine = asked(published[1]), asked(ours[1])
    for i in range(max(len(theirs), len(mine))):
        one, other = theirs[i:i + 1], mine[i:i + 1]
        if one != other:
            before = "\n".join(f"    {it}" for it in mine[max(0, i - 5):i])
            return f"call {i} differs, after\n{before}\n  published {one}\n  ours      {other}"
    if published[2] != ours[2]:
        keys = sorted(key for key in {**published[2], **ours[2]} if published[2].get(key) != ours[2].get(key))
        return "\n".join(["the stores differ", *(f"  {key}: published {published[2].get(key)!r}, "
                                                 f"ours {ours[2].get(key)!r}" for key in keys)])
    return None

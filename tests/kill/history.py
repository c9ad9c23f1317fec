"""The history of a run: one JSON object a line, in the order in which the driver learned of things.

{"e": "begin", "accounts": {...}, ...}          what the run started from
{"e": "op", "op": id, "kind": ..., "args": []}  asked for
{"e": "sent", "op": id}                         durable, says the broker: from here on it must happen
{"e": "answer", "op": id, "value": ...}         the answer; "reject" with "why" where it was a refusal
{"e": "unread", "op": id}                       the answer went with the broker's life between its commit and the sending
{"e": "forgot", "op": id}                       the client died and knows no more
{"e": "journal", "vat": ..., "from": n, "entries": [...]}
{"e": "state", "vat": ..., "state": ...}        at the end, when nothing was under way
{"e": "reference", "digests": [...]}            what the heap says of each step where nobody is killed
{"e": "kill", ...}, {"e": "recovered", ...}     for the reader
{"e": "finding", "text": ...}                   what the driver itself found wrong
{"e": "end"}                                    the last line of a run that came to its end"""

import json
import time


class History:
    def __init__(self, path):
        self.path = path
        self.file = open(path, "w", encoding="utf-8")
        self.began = time.monotonic()

    def write(self, event, **fields):
        line = {"t": round(time.monotonic() - self.began, 4), "e": event, **fields}
        self.file.write(json.dumps(line, separators=(",", ":"), ensure_ascii=False) + "\n")

    def flush(self):
        self.file.flush()

    def close(self):
        self.file.close()


def read(path):
    with open(path, encoding="utf-8") as file:
        for line in file:
            if line.endswith("\n"):
                yield json.loads(line)

/* The names in a folder, for good. A name that was made, changed or taken away stands on the disk only when its
 * folder was synced; that of the file itself says nothing of its name.
 *
 * After true, a loss of power leaves the names as they are. After false, errno says why, and nobody knows
 * which names stand: the old, the new, or, of several, any. The disk is to blame, or who set up the machine (no room,
 * no right to the folder, no free descriptor); never a peer. A second call that succeeds proves nothing of what the
 * first one failed to write: whoever goes on must not count on it, and who has already promised it to others
 * has to end.
 *
 * The bytes of the file are the caller's to sync, before it gets its name. */
#pragma once
#include <stdbool.h>

#include "wire/base/err.h"

/* The names in FOLDER. */
CHECKED bool durable_folder(const char *folder);

/* The names in the folder that PATH stands in. */
CHECKED bool durable_name(const char *path);

/* rename() of FROM to PATH, in the same folder, for good. */
CHECKED bool durable_rename(const char *from, const char *path);

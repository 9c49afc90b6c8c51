#pragma once

/// From now on what is allocated in pieces of `from` bytes and more (32 MiB at most) goes back to the system when it is freed. By itself the
/// C library raises that bound up to 32 MiB, and keeps what has been freed between pieces that live.
void mr_return_large_memory(int from);

/// Gives the system back whole pages of what is free between pieces that live, in all arenas.
void mr_return_free_memory(void);

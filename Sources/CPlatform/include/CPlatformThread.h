#pragma once

/// Names the calling thread for top and gdb; longer names are cut to 15 bytes.
void mill_name_this_thread(const char *name);

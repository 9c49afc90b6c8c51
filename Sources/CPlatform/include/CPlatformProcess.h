#pragma once

/// From here on the process leaves no core dump, and no other one of the same user may look into its memory, where passwords are.
void mr_hide_memory(void);

/// Not 0: SIGHUP is ignored.
int mr_ignores_hang_up(void);

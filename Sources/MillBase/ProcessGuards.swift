internal import CPlatform

/// Passwords are in memory: from here on there is no core dump, and other processes of the same user can't look into this one.
package func hideMemory() { mr_hide_memory() }

/// Whether who started this process wants it to outlive its terminal (nohup).
package var ignoresHangUp: Bool { mr_ignores_hang_up() != 0 }

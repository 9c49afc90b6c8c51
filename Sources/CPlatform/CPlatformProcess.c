#include "CPlatformProcess.h"

#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>

void mr_hide_memory(void) { prctl(PR_SET_DUMPABLE, 0); }

int mr_ignores_hang_up(void) {
  struct sigaction now;
  return sigaction(SIGHUP, NULL, &now) == 0 && now.sa_handler == SIG_IGN;
}

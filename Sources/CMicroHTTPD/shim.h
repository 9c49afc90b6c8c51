#pragma once
#include <microhttpd.h>
#include <string.h>
#include <sys/socket.h>

// MHD_start_daemon takes variable arguments, and its callbacks return an enum that Swift takes for another type.

/// Answers one request: 0 closes its connection without an answer.
typedef int (*mr_mhd_answer)(void *context, struct MHD_Connection *connection, const char *path, const char *method);

enum { mr_mhd_places = 64 };

struct mr_mhd_handler {
  mr_mhd_answer answer;
  void *context;
  /// More open connections than this, and the oldest one is closed; at most half of the places.
  unsigned connections;
  /// Sockets of the open connections, the oldest first. The library's thread alone.
  int sockets[mr_mhd_places];
  unsigned open;
};

static inline enum MHD_Result mr_mhd_handle(void *handler, struct MHD_Connection *connection, const char *path, const char *method,
                                            const char *version, const char *upload, size_t *upload_size, void **state) {
  (void)version, (void)upload, (void)upload_size, (void)state;
  struct mr_mhd_handler *own = (struct mr_mhd_handler *)handler;
  // The first call comes with the headers: answered then, a body is never read.
  return own->answer(own->context, connection, path, method) ? MHD_YES : MHD_NO;
}

/// Called as each connection begins and ends: one more than there may be pushes out the oldest, so that clients that send a byte now and
/// then, which the time-out never ends, keep nobody out.
static inline void mr_mhd_watch(void *handler, struct MHD_Connection *connection, void **state, enum MHD_ConnectionNotificationCode code) {
  (void)state;
  struct mr_mhd_handler *own = (struct mr_mhd_handler *)handler;
  const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
  if (info == NULL) return;
  if (code == MHD_CONNECTION_NOTIFY_STARTED && own->open < mr_mhd_places) {
    own->sockets[own->open++] = info->connect_fd;
    // It ends as if its client had; the library tells so once it has seen it.
    if (own->open > own->connections) shutdown(own->sockets[own->open - 1 - own->connections], SHUT_RDWR);
  } else if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
    for (unsigned at = 0; at < own->open; at++) {
      if (own->sockets[at] != info->connect_fd) continue;
      memmove(&own->sockets[at], &own->sockets[at + 1], (own->open - at - 1) * sizeof(int));
      own->open--;
      break;
    }
  }
}

/// Serves `listener`, which becomes the daemon's, on a thread of the library. `handler` stays until the daemon has been stopped. NULL: no
/// thread could be made.
static inline struct MHD_Daemon *mr_mhd_start(int listener, struct mr_mhd_handler *handler, unsigned timeout_seconds,
                                              size_t connection_bytes) {
  return MHD_start_daemon(MHD_USE_AUTO | MHD_USE_INTERNAL_POLLING_THREAD, 0, NULL, NULL, mr_mhd_handle, handler,
                          MHD_OPTION_LISTEN_SOCKET, listener, MHD_OPTION_CONNECTION_LIMIT, (unsigned)mr_mhd_places,
                          MHD_OPTION_NOTIFY_CONNECTION, mr_mhd_watch, handler, MHD_OPTION_CONNECTION_TIMEOUT, timeout_seconds,
                          MHD_OPTION_CONNECTION_MEMORY_LIMIT, connection_bytes, MHD_OPTION_END);
}

static inline const char *mr_mhd_header(struct MHD_Connection *connection, const char *name) {
  return MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
}

static inline struct MHD_Response *mr_mhd_response(const void *bytes, size_t count) {
  return MHD_create_response_from_buffer(count, (void *)bytes, MHD_RESPMEM_MUST_COPY);
}

static inline int mr_mhd_add_header(struct MHD_Response *response, const char *name, const char *value) {
  return MHD_add_response_header(response, name, value) == MHD_YES;
}

/// Hands `response` to the connection and lets go of it.
static inline int mr_mhd_queue(struct MHD_Connection *connection, unsigned status, struct MHD_Response *response) {
  int queued = MHD_queue_response(connection, status, response) == MHD_YES;
  MHD_destroy_response(response);
  return queued;
}

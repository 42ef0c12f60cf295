/* Holds back what makes writes durable, for as long as the file named by SYNC_HOLD exists: loaded
 * with LD_PRELOAD before libc, whose fsync and fdatasync it calls in the end. While one waits there
 * is a file of that name with `.waiting` behind it. Built and used by `hold.mjs`. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void hold(void) {
  const char *file = getenv("SYNC_HOLD");
  char waiting[PATH_MAX];
  if (file == NULL || access(file, F_OK) != 0) return;
  snprintf(waiting, sizeof waiting, "%s.waiting", file);
  close(open(waiting, O_CREAT | O_WRONLY, 0600));
  while (access(file, F_OK) == 0) usleep(1000);
}

#define HELD(name)                                          \
  int name(int file) {                                      \
    static int (*real)(int);                                \
    if (real == NULL) *(void **)&real = dlsym(RTLD_NEXT, #name); \
    hold();                                                 \
    return real(file);                                      \
  }

HELD(fsync)
HELD(fdatasync)

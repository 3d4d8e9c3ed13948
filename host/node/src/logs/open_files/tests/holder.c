/* Holds a file in one of the ways that a look at the descriptors of main threads does not see. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/io_uring.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char *way, *path;

static void check(int failed, const char *what) {
    if (failed) {
        perror(what);
        exit(1);
    }
}

static void map(void) {
    int file = open(path, O_RDWR);
    check(file < 0, "open");
    char *bytes = mmap(NULL, 1, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    check(bytes == MAP_FAILED, "mmap");
    close(file);
    bytes[0] = '!';
}

/* Only the ring has the file open. */
static void ring(void) {
    struct io_uring_params parameters = {0};
    int ring = syscall(SYS_io_uring_setup, 1, &parameters);
    check(ring < 0, "io_uring_setup");
    int file = open(path, O_RDONLY);
    check(file < 0, "open");
    check(syscall(SYS_io_uring_register, ring, IORING_REGISTER_FILES, &file, 1) != 0, "io_uring_register");
    close(file);
}

static void *thread(void *main_thread) {
    if (strncmp(way, "leader", 6) == 0)
        pthread_join(*(pthread_t *)main_thread, NULL);
    if (strcmp(way, "own-table") == 0)
        check(unshare(CLONE_FILES) != 0, "unshare");
    if (strcmp(way, "own-directory") == 0) {
        check(unshare(CLONE_FS) != 0, "unshare");
        check(chdir(path) != 0, "chdir");
    } else if (strcmp(way, "own-table") == 0 || strcmp(way, "leader-gone") == 0) {
        check(open(path, O_RDONLY) < 0, "open");
    } else if (strcmp(way, "leader-gone-map") == 0) {
        map();
    }
    puts("ready");
    fflush(stdout);
    for (;;)
        pause();
}

int main(int count, char **arguments) {
    pthread_t main_thread = pthread_self(), other;
    check(count != 3, "arguments");
    way = arguments[1];
    path = arguments[2];
    if (strcmp(way, "map") == 0)
        map();
    if (strcmp(way, "ring") == 0)
        ring();
    check(pthread_create(&other, NULL, thread, &main_thread) != 0, "pthread_create");
    if (strncmp(way, "leader", 6) == 0)
        pthread_exit(NULL);
    for (;;)
        pause();
}

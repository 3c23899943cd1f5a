// Threads that use the heap and sleep in the kernel while two signals arrive a thousand times a second: SIGALRM for the
// process, SIGRTMIN for each thread. It ends when every thread has done its rounds and has seen its signals, so that no
// speed is asked for; what it prints does not depend on the time.
// usage: storm ROUNDS SIGNALS
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { THREADS = 4, BLOCKS = 64, LARGEST = 3000 };

static long rounds, signals;
static atomic_long for_process;
static _Thread_local volatile sig_atomic_t for_thread;
static atomic_int running = THREADS;
static atomic_int wrong;

static void fail(const char *what) {
    if (!atomic_exchange(&wrong, 1)) fprintf(stderr, "storm: %s, errno %d\n", what, errno);
}

// Uses the stack, floating point and memory of its own, and leaves errno and everything else as they are.
static void handler(int signal) {
    int saved = errno;
    volatile unsigned char room[600];
    volatile double sum = 0;
    for (int i = 0; i < 600; i++) room[i] = (unsigned char)(i + signal);
    for (int i = 0; i < 600; i++) sum += room[i] / 2.0;
    if (for_thread % 8 == 0) {
        volatile unsigned char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (page == MAP_FAILED) fail("mmap in the handler");
        page[4095] = page[4096] = (unsigned char)sum;
        munmap((void *)page, 8192);
    }
    if (signal == SIGALRM) for_process++;
    else for_thread++;
    errno = saved;
}

static uint32_t next(uint32_t *seed) { return *seed = *seed * 1664525 + 1013904223; }

struct block { unsigned char *bytes, fill; size_t len; };

static void check(const struct block *block) {
    for (size_t i = 0; i < block->len; i++)
        if (block->bytes[i] != (unsigned char)(block->fill + i)) return fail("a block has changed");
}

static void fill(struct block *block, size_t len) {
    block->len = len;
    for (size_t i = 0; i < len; i++) block->bytes[i] = (unsigned char)(block->fill + i);
}

// One step with the heap: a block is made, resized or freed. Returns something that depends on all steps so far.
static uint32_t use_heap(struct block *blocks, uint32_t *seed) {
    struct block *block = &blocks[next(seed) >> 8 & (BLOCKS - 1)];
    size_t len = (next(seed) >> 8) % LARGEST;
    if (!block->bytes) {
        if (!(block->bytes = malloc(len + 1))) fail("malloc");
        block->fill = (unsigned char)(*seed >> 16);
        fill(block, len);
    } else if (len & 1) {
        check(block);
        size_t kept = len < block->len ? len : block->len;
        if (!(block->bytes = realloc(block->bytes, len + 1))) fail("realloc");
        block->len = kept;
        check(block);
        fill(block, len);
    } else {
        check(block);
        free(block->bytes);
        block->bytes = NULL;
    }
    return (uint32_t)len ^ block->fill;
}

struct worker { pthread_t thread; int number, in, out; uint32_t digest; };

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int turn;

static void *work(void *argument) {
    struct worker *own = argument;
    struct block blocks[BLOCKS] = {0};
    uint32_t seed = 77 + (uint32_t)own->number, digest = 0;
    double sum = 0;
    for (long round = 0; round < rounds || for_thread < signals || for_process < signals; round++) {
        uint32_t used = use_heap(blocks, &seed);
        if (round < rounds) {
            digest = digest * 31 + used;
            sum += (used & 1023) / 7.0;
        }
        if (round % 256 == 0) {
            // Asleep for a time, and in a pipe that nothing is in yet.
            struct timespec pause = {0, 300000};
            while (nanosleep(&pause, &pause) != 0)
                if (errno != EINTR) fail("nanosleep");
            char byte = (char)round, back = 0;
            if (write(own->out, &byte, 1) != 1) fail("write");
            ssize_t got;
            while ((got = read(own->in, &back, 1)) < 0 && errno == EINTR) {}
            if (got != 1 || back != byte) fail("read");
        }
        if (round < rounds && round % 512 == 0) {
            // On a futex: the threads take turns.
            pthread_mutex_lock(&mutex);
            while (turn % THREADS != own->number) pthread_cond_wait(&changed, &mutex);
            turn++;
            pthread_cond_broadcast(&changed);
            pthread_mutex_unlock(&mutex);
        }
    }
    for (int i = 0; i < BLOCKS; i++) {
        if (!blocks[i].bytes) continue;
        check(&blocks[i]);
        free(blocks[i].bytes);
    }
    own->digest = digest ^ (uint32_t)sum;
    atomic_fetch_sub(&running, 1);
    return NULL;
}

// Sends back what comes, until the other end is closed.
static void *echo(void *argument) {
    int *ends = argument;
    char byte;
    for (;;) {
        ssize_t got = read(ends[0], &byte, 1);
        if (got < 0 && errno == EINTR) continue;
        if (got != 1) return NULL;
        if (write(ends[1], &byte, 1) != 1) fail("write back");
    }
}

int main(int argc, char **argv) {
    rounds = argc > 1 ? atol(argv[1]) : 2000;
    signals = argc > 2 ? atol(argv[2]) : 100;
    // SIGALRM interrupts system calls, SIGRTMIN restarts them.
    struct sigaction action = {.sa_handler = handler};
    sigfillset(&action.sa_mask);
    sigaction(SIGALRM, &action, NULL);
    action.sa_flags = SA_RESTART;
    sigaction(SIGRTMIN, &action, NULL);

    static struct worker workers[THREADS];
    static int there[THREADS][2], back[THREADS][2], ends[THREADS][2];
    pthread_t echoes[THREADS];
    for (int i = 0; i < THREADS; i++) {
        if (pipe(there[i]) || pipe(back[i])) fail("pipe");
        ends[i][0] = there[i][0], ends[i][1] = back[i][1];
        workers[i] = (struct worker){.number = i, .in = back[i][0], .out = there[i][1]};
        pthread_create(&echoes[i], NULL, echo, ends[i]);
        pthread_create(&workers[i].thread, NULL, work, &workers[i]);
    }
    struct itimerval every = {{0, 1000}, {0, 1000}};
    setitimer(ITIMER_REAL, &every, NULL);
    while (running > 0) {
        struct timespec pause = {0, 1000000};
        nanosleep(&pause, NULL);
        for (int i = 0; i < THREADS; i++) pthread_kill(workers[i].thread, SIGRTMIN);
    }
    uint32_t digest = 0;
    for (int i = 0; i < THREADS; i++) {
        pthread_join(workers[i].thread, NULL);
        close(workers[i].out);
        pthread_join(echoes[i], NULL);
        digest = digest * 31 + workers[i].digest;
    }
    struct itimerval never = {0};
    setitimer(ITIMER_REAL, &never, NULL);
    if (for_process < signals) fail("signals are missing");
    printf("%d threads, %ld rounds, digest %08x: %s\n", THREADS, rounds, digest, wrong ? "wrong" : "right");
    return wrong;
}

// System calls whose structures the emulator has to translate or to look into: messages with descriptors, System V
// objects, event descriptors, vectors. Each line is a fact that does not depend on the machine. Bad addresses must
// give EFAULT (14).
#include "rt.h"

enum { EFAULT = 14 };
enum { SYS_setxattr = 5, SYS_getcwd = 17, SYS_inotify_init1 = 26, SYS_inotify_add_watch = 27, SYS_epoll_create1 = 20,
       SYS_epoll_ctl = 21, SYS_epoll_pwait = 22, SYS_unlinkat = 35, SYS_openat = 56, SYS_close = 57, SYS_pipe2 = 59,
       SYS_read = 63, SYS_pread64 = 67, SYS_signalfd4 = 74, SYS_tee = 77, SYS_fstat = 80, SYS_timerfd_create = 85,
       SYS_timerfd_settime = 86, SYS_sched_get_priority_max = 125, SYS_msgget = 186, SYS_msgctl = 187, SYS_msgrcv = 188,
       SYS_msgsnd = 189, SYS_semget = 190, SYS_semctl = 191, SYS_semtimedop = 192, SYS_semop = 193, SYS_shmget = 194,
       SYS_shmctl = 195, SYS_shmat = 196, SYS_shmdt = 197, SYS_socketpair = 199, SYS_sendmsg = 211, SYS_recvmsg = 212,
       SYS_recvmmsg = 243, SYS_sendmmsg = 269, SYS_memfd_create = 279, SYS_preadv = 69,
       SYS_pwritev = 70 };
enum { IPC_PRIVATE = 0, IPC_RMID = 0, IPC_STAT = 2, GETALL = 13, SETALL = 17, GETVAL = 12 };

struct vector { void *base; u64 len; };
struct message { void *name; u32 name_len, pad; struct vector *data; u64 count; void *control; u64 control_len; u32 flags, pad2; };
struct many { struct message message; u32 len, pad; };
struct control { u64 len; u32 level, type; u32 fds[2]; };

static void *const nowhere = (void *)0x1000;

static i64 call(i64 n, i64 a, i64 b, i64 c, i64 d, i64 e) { return syscall6(n, a, b, c, d, e, 0); }
static void show_signed(const char *name, i64 value) {
    print(name); print(value < 0 ? " -" : " "); print_number(value < 0 ? -value : value); print("\n");
}

static NOINLINE void messages(void) {
    u32 pair[2], pipe[2];
    char one[8] = "one", two[8] = "two", in[2][4] = {{0}};
    show_signed("socketpair", call(SYS_socketpair, 1, 1, 0, (i64)pair, 0));
    call(SYS_pipe2, (i64)pipe, 0, 0, 0, 0);
    struct vector out[2] = {{one, 3}, {two, 3}}, into[2] = {{in[0], 4}, {in[1], 4}};
    struct control sent = {20, 1, 1, {pipe[1], 0}}, got = {0};
    struct message message = {0, 0, 0, out, 2, &sent, 20, 0, 0};
    show_signed("sendmsg", call(SYS_sendmsg, pair[0], (i64)&message, 0, 0, 0));
    struct message answer = {0, 0, 0, into, 2, &got, sizeof got, 0, 0};
    show_signed("recvmsg", call(SYS_recvmsg, pair[1], (i64)&answer, 0, 0, 0));
    show("control length", answer.control_len);
    show("control", got.len == 20 && got.level == 1 && got.type == 1);
    print("data "); syscall3(SYS_write, 1, (i64)in[0], 4); syscall3(SYS_write, 1, (i64)in[1], 2); print("\n");
    call(SYS_close, pipe[1], 0, 0, 0, 0);
    show_signed("write through the copy", call(SYS_write, got.fds[0], (i64)one, 3, 0, 0));
    show_signed("read", call(SYS_read, pipe[0], (i64)in, 8, 0, 0));
    message.control = nowhere;
    show_signed("bad control", call(SYS_sendmsg, pair[0], (i64)&message, 0, 0, 0));
    message.data = nowhere;
    show_signed("bad data", call(SYS_sendmsg, pair[0], (i64)&message, 0, 0, 0));
    show_signed("bad message", call(SYS_recvmsg, pair[0], (i64)nowhere, 0, 0, 0));

    call(SYS_socketpair, 1, 2, 0, (i64)pair, 0);
    struct many many[3] = {{{0, 0, 0, out, 1, 0, 0, 0, 0}, 0, 0}, {{0, 0, 0, out, 2, 0, 0, 0, 0}, 0, 0}, {{0, 0, 0, out + 1, 1, 0, 0, 0, 0}, 0, 0}};
    show_signed("sendmmsg", call(SYS_sendmmsg, pair[0], (i64)many, 2, 0, 0));
    show("first length", many[0].len);
    show("second length", many[1].len);
    for (int i = 0; i < 3; i++) many[i].message.data = into, many[i].message.count = 2;
    show_signed("recvmmsg", call(SYS_recvmmsg, pair[1], (i64)many, 3, 0x10000, 0));
    show("lengths", many[0].len * 10 + many[1].len);
}

static NOINLINE void system_v(void) {
    u16 values[3] = {4, 5, 6};
    static u64 state[16];
    struct { u16 index; short op, flags; } take = {1, -2, 0};
    i64 set = call(SYS_semget, IPC_PRIVATE, 3, 0600, 0, 0);
    show_signed("setall", call(SYS_semctl, set, 0, SETALL, (i64)values, 0));
    show_signed("semop", call(SYS_semop, set, (i64)&take, 1, 0, 0));
    show_signed("getval", call(SYS_semctl, set, 1, GETVAL, 0, 0));
    values[2] = 0;
    show_signed("getall", call(SYS_semctl, set, 0, GETALL, (i64)values, 0));
    show("values", values[0] * 100 + values[1] * 10 + values[2]);
    show_signed("stat", call(SYS_semctl, set, 0, IPC_STAT, (i64)state, 0));
    show("semaphores", state[8]);
    u64 no_time[2] = {0, 1000};
    take.op = -100;
    show_signed("semtimedop", call(SYS_semtimedop, set, (i64)&take, 1, (i64)no_time, 0));
    show_signed("bad operations", call(SYS_semop, set, (i64)nowhere, 1, 0, 0));
    show_signed("remove", call(SYS_semctl, set, 0, IPC_RMID, 0, 0));

    struct { i64 type; char text[8]; } message = {7, "text"};
    i64 queue = call(SYS_msgget, IPC_PRIVATE, 0600, 0, 0, 0);
    show_signed("msgsnd", call(SYS_msgsnd, queue, (i64)&message, 4, 0, 0));
    message.type = 0;
    show_signed("msgrcv", call(SYS_msgrcv, queue, (i64)&message, 8, 7, 0));
    show("type", message.type);
    show_signed("remove", call(SYS_msgctl, queue, IPC_RMID, 0, 0, 0));

    i64 id = call(SYS_shmget, IPC_PRIVATE, 5000, 0600, 0, 0);
    u8 *one = (u8 *)call(SYS_shmat, id, 0, 0, 0, 0), *two = (u8 *)call(SYS_shmat, id, 0, 0, 0, 0);
    one[4999] = 77;
    show("shared", two[4999]);
    show_signed("shmctl", call(SYS_shmctl, id, IPC_STAT, (i64)state, 0, 0));
    show("size", state[6]);
    show("attached", state[11]);
    show_signed("remove", call(SYS_shmctl, id, IPC_RMID, 0, 0, 0));
    show_signed("shmdt", call(SYS_shmdt, (i64)one, 0, 0, 0, 0));
    show_signed("shmdt again", call(SYS_shmdt, (i64)one, 0, 0, 0, 0));
    show("still", two[4999]);
}

static NOINLINE void events(void) {
    static u64 buffer[64];
    u64 set = 1UL << 9; // SIGUSR1
    struct { u32 events, pad; u64 data; } event = {1, 0, 0x123456789abcdefUL}, ready = {0, 0, 0};
    call(SYS_rt_sigprocmask, 0, (i64)&set, 0, 8, 0);
    i64 fd = call(SYS_signalfd4, -1, (i64)&set, 8, 0, 0), poll = call(SYS_epoll_create1, 0, 0, 0, 0, 0);
    call(SYS_kill, call(SYS_getpid, 0, 0, 0, 0, 0), 10, 0, 0, 0);
    show_signed("epoll_ctl", call(SYS_epoll_ctl, poll, 1, fd, (i64)&event, 0));
    show_signed("epoll_pwait", call(SYS_epoll_pwait, poll, (i64)&ready, 1, 1000, 0));
    show("event", ready.events == 1 && ready.data == 0x123456789abcdefUL);
    show_signed("signalfd", call(SYS_read, fd, (i64)buffer, sizeof buffer, 0, 0));
    show("signal", (u32)buffer[0]);

    u64 time[4] = {0, 0, 0, 1000000};
    i64 timer = call(SYS_timerfd_create, 1, 0, 0, 0, 0);
    show_signed("timerfd_settime", call(SYS_timerfd_settime, timer, 0, (i64)time, 0, 0));
    show_signed("timerfd", call(SYS_read, timer, (i64)buffer, 8, 0, 0));
    show("expirations", buffer[0]);

    i64 watch = call(SYS_inotify_init1, 0, 0, 0, 0, 0);
    show_signed("watch", call(SYS_inotify_add_watch, watch, (i64)"/", 0x20, 0, 0)); // IN_OPEN
    call(SYS_openat, -100, (i64)"/", 0, 0, 0);
    show_signed("inotify", call(SYS_read, watch, (i64)buffer, sizeof buffer, 0, 0) > 0);
    show_signed("bad path", call(SYS_inotify_add_watch, watch, (i64)nowhere, 0x20, 0, 0));
}

static NOINLINE void vectors(void) {
    char text[8] = "vectors", in[8] = {0};
    struct vector out[2] = {{text, 3}, {text + 3, 4}}, into = {in, 8};
    i64 fd = call(SYS_memfd_create, (i64)"m", 0, 0, 0, 0);
    show_signed("pwritev", call(SYS_pwritev, fd, (i64)out, 2, 0, 0));
    show_signed("preadv", call(SYS_preadv, fd, (i64)&into, 1, 2, 0));
    print(in); print("\n");
    out[0].base = nowhere;
    show_signed("bad vector", call(SYS_pwritev, fd, (i64)out, 2, 0, 0));
    show_signed("priority", call(SYS_sched_get_priority_max, 1, 0, 0, 0, 0));
    show_signed("bad attribute", call(SYS_setxattr, (i64)"/", (i64)nowhere, (i64)text, 1, 0));
}

int main(int argc, char **argv, char **envp) {
    (void)argc; (void)argv; (void)envp;
    messages();
    system_v();
    events();
    vectors();
    return 0;
}

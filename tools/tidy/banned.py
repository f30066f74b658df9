"""Calls and headers that are banned, where they are allowed all the same, and what to use instead.

A row: the names, the places (path prefixes) of the product's code where they may stand, the remedy.
Tests and benchmarks may call what they like, but for rows that say EVERYWHERE.
"""

CODE = ("src/", "include/")

# The doors and the programs at the edge: only these talk to the kernel.
KERNEL = ("src/io/", "src/cli/", "src/web/", "src/connect/", "src/base/panic.c")
PRINTS = ("src/cli/", "src/base/panic.c", "src/sim/trace.c")
HEAP = ("src/base/alloc.c")

EVERYWHERE = None  # in tests and benchmarks too
NOWHERE = ()

CALLS = [
    ("strcpy stpcpy strcat strncpy strncat sprintf vsprintf gets", EVERYWHERE,
     "writes past the end; use ot_text_put() on an ot_text, or memcpy() with a known size"),
    ("atoi atol atoll atof strtok", EVERYWHERE,
     "hides errors; parse with strtoll() and check its end and errno"),
    ("sscanf scanf fscanf vsscanf", NOWHERE,
     "overflows silently; parse by hand or with strtoll()"),
    ("alloca setjmp longjmp system popen tmpnam mktemp tempnam", EVERYWHERE,
     "is not used in this project; there is always a safer way"),
    ("asctime ctime gmtime localtime readdir_r getpwnam getpwuid", EVERYWHERE,
     "shares static memory between threads; use the _r form"),
    ("rand srand random srandom drand48 rand_r", EVERYWHERE,
     "is no randomness of ours; use ot_io_random(), which the simulator seeds"),
    ("signal", EVERYWHERE, "differs between systems; use ot_loop_on_signal() or sigaction()"),
    ("assert", EVERYWHERE, "vanishes with NDEBUG; use OT_ASSERT()"),
    ("malloc calloc realloc free reallocarray aligned_alloc posix_memalign strdup strndup asprintf "
     "vasprintf", HEAP,
     "bypasses the budget and the failing-allocation tests; use ot_alloc(), ot_must_alloc(), "
     "ot_free() or an arena"),
    ("printf fprintf vprintf vfprintf puts fputs putchar putc fputc perror fwrite dprintf vdprintf",
     PRINTS, "libraries do not print; return an error, fill an ot_why, or ot_report()"),
    # A child that cannot become its program has no other way out.
    ("exit _exit quick_exit", ("src/cli/", "src/io/child.c"),
     "ends the process from a library; return an error, or OT_PANIC() for a bug"),
    ("abort", ("src/base/panic.c"), "use OT_PANIC(), which says why"),
    ("getenv secure_getenv setenv", ("src/cli/", "src/io/"),
     "hides an input; settings come from schema/ through src/config"),
    ("time clock clock_gettime gettimeofday clock_getres times uv_now uv_hrtime", KERNEL,
     "reads a clock; take the time from ot_io_now() or ot_io_wall(), or as a parameter"),
    ("getrandom getentropy arc4random RAND_bytes uuid_generate uv_random", KERNEL,
     "rolls dice; use ot_io_random(), which the simulator seeds"),
    ("sleep usleep nanosleep poll ppoll select epoll_wait epoll_create1 epoll_ctl sched_yield",
     KERNEL, "waits; arm an ot_timer, or submit an ot_job"),
    ("open openat creat close read pread readv preadv write pwrite writev pwritev lseek fsync "
     "fdatasync sync_file_range ftruncate truncate fallocate posix_fallocate fopen fclose fread "
     "fgets getline rename renameat unlink unlinkat remove mkdir rmdir opendir readdir closedir "
     "scandir stat fstat lstat statvfs statfs access chdir chmod fchmod flock lockf realpath "
     "mkstemp mkdtemp mmap munmap msync madvise mincore sendfile splice copy_file_range readahead "
     "posix_fadvise", KERNEL,
     "is a system call; files are reached through the door of src/io/fs.h"),
    ("socket socketpair bind listen accept accept4 connect send sendto sendmsg recv recvfrom "
     "recvmsg shutdown setsockopt getsockopt getsockname getpeername getaddrinfo pipe pipe2 "
     "eventfd ioctl fcntl dup dup2", KERNEL,
     "is a system call; connections are reached through the door of src/io/io.h"),
    ("fork vfork execv execve execvp posix_spawn waitpid kill raise getpid sysconf getrlimit "
     "setrlimit syscall prctl gethostname uname", KERNEL,
     "is a system call; ask through src/io, or do it in src/cli before the server starts"),
    ("pthread_create pthread_join thrd_create uv_thread_create", ("src/io/", "src/shard/",), "starts a thread; threads are made by src/io and src/shard alone"),
]

INCLUDES = [
    ("unistd.h fcntl.h dirent.h poll.h sys/stat.h sys/socket.h sys/mman.h sys/epoll.h sys/ioctl.h "
     "sys/sendfile.h sys/file.h sys/resource.h sys/syscall.h sys/wait.h netdb.h netinet/in.h "
     "netinet/tcp.h arpa/inet.h uv.h", KERNEL,
     "the kernel is behind the doors of src/io; cores receive a struct ot_io"),
    ("pthread.h threads.h stdatomic.h", ("src/base/", "src/shard/", "src/io/"),
     "threads and what they share live in src/base, src/shard and src/io"),
    ("assert.h", EVERYWHERE, "use OT_ASSERT() of base/panic.h"),
]


def table_for(rows, path):
    """name -> remedy, for what may not stand in the file at `path`."""
    table = {}
    for names, places, remedy in rows:
        if places is EVERYWHERE or path.startswith(CODE) and not path.startswith(places):
            table.update(dict.fromkeys(names.split(), remedy))
    return table


def calls_for(path):
    return table_for(CALLS, path)


def includes_for(path):
    return table_for(INCLUDES, path)

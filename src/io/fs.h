/* The door to files. Production uses the host's file system, the simulator a disk that can lose,
 * tear and flip what was not synced; cores see this header only.
 *
 * Durability, which cores may rely on and nothing beyond:
 *   - Written bytes can be read at once, and survive the process, not the machine.
 *   - ot_file_sync() makes a file's bytes and size survive the machine. After it failed, the
 *     unsynced bytes are in an unknown state, and the file must not be written again.
 *   - A new, renamed or removed name survives the machine after ot_fs_sync_dir() on its folder.
 *   - A rename is atomic: after a crash the old or the new file stands under the name, whole.
 *   - Unsynced bytes may be there in part after a crash, in pieces of any 512-byte sector.
 *
 * Calls may be made from any thread; two threads may use one file at once, reads beside writes.
 * All that may wait for a disk say so (@blocks) and belong into a worker job. Appends into the page
 * cache and reads of hot ranges do not wait in practice, and are made inline.
 */
#ifndef OT_IO_FS_H
#define OT_IO_FS_H

#include <sys/uio.h>

#include "base/err.h"
#include "base/time.h"

struct ot_fs;
struct ot_file;

enum ot_open_flags {
	OT_OPEN_READ = 0,
	OT_OPEN_WRITE = 1 << 0,     /* read and write */
	OT_OPEN_CREATE = 1 << 1,    /* with WRITE: make it when it is missing */
	OT_OPEN_EXCLUSIVE = 1 << 2, /* with CREATE: OT_ERR_EXISTS when it is there */
	OT_OPEN_TRUNCATE = 1 << 3,  /* with WRITE: empty it */
};

struct ot_fs_stat {
	uint64_t bytes;      /* the size that reads see */
	uint64_t bytes_disk; /* what it takes on the disk, reserved space included */
	ot_wall_ms modified;
	bool is_dir;
};

struct ot_fs_space {
	uint64_t bytes_total;
	uint64_t bytes_free; /* what an unprivileged process may still use */
};

/* Called for each entry of a folder, without "." and ".."; `name` ends when the call returns. */
typedef ot_err ot_fs_visit(void *arg, const char *name, bool is_dir);

/* Opens a file with one reference. OT_ERR_NOT_FOUND, OT_ERR_EXISTS, OT_ERR_NO_SPACE, OT_ERR_IO.
 * @owner any thread   @blocks rarely (a folder's block may be cold) */
OT_MUST_USE ot_err ot_fs_open(struct ot_fs *fs, const char *path, unsigned flags,
    struct ot_file **ret_file);

/* Makes one folder; OT_ERR_EXISTS when the name is taken. ot_fs_mkdir_all makes its parents too and
 * accepts what is there. @owner any thread   @blocks rarely */
OT_MUST_USE ot_err ot_fs_mkdir(struct ot_fs *fs, const char *path);
OT_MUST_USE ot_err ot_fs_mkdir_all(struct ot_fs *fs, const char *path);

/* Visits each entry until a visit fails, and gives that error.
 * @owner any thread   @blocks rarely */
OT_MUST_USE ot_err ot_fs_list(struct ot_fs *fs, const char *path, ot_fs_visit *visit, void *arg);

/* Atomic replacement. @owner any thread   @blocks rarely */
OT_MUST_USE ot_err ot_fs_rename(struct ot_fs *fs, const char *from, const char *to);

/* Removes a file or an empty folder. Open references keep the bytes readable.
 * @owner any thread   @blocks for large files: worker */
OT_MUST_USE ot_err ot_fs_remove(struct ot_fs *fs, const char *path);

/* Removes a folder with all that is in it; fine when it is not there.
 * @owner any thread   @blocks: worker */
OT_MUST_USE ot_err ot_fs_remove_all(struct ot_fs *fs, const char *path);

/* Makes the names in a folder survive a crash. @owner any thread   @blocks: worker */
OT_MUST_USE ot_err ot_fs_sync_dir(struct ot_fs *fs, const char *path);

/* @owner any thread   @blocks rarely */
OT_MUST_USE ot_err ot_fs_stat(struct ot_fs *fs, const char *path, struct ot_fs_stat *ret_stat);
OT_MUST_USE ot_err ot_fs_space(struct ot_fs *fs, const char *path, struct ot_fs_space *ret_space);

/* An id of the page cache's life, 0-terminated: while it is the same, whatever any process has
 * written is still there, synced or not, but for failures of the disk. The machine's boot, in
 * production. OT_ERR_NOT_FOUND when the host tells none. @owner any thread   @blocks never */
enum { OT_FS_BOOT_ID_BYTES = 64 };
OT_MUST_USE ot_err ot_fs_boot_id(struct ot_fs *fs, char ret_id[OT_FS_BOOT_ID_BYTES]);

/* Takes an exclusive lock on a lock file (made when missing) until the file is closed or the
 * process ends. OT_ERR_EXISTS when another process holds it. @owner any thread   @blocks never */
OT_MUST_USE ot_err ot_fs_lock(struct ot_fs *fs, const char *path, struct ot_file **ret_file);

/* The last unref closes. unref accepts NULL. @owner any thread */
struct ot_file *ot_file_ref(struct ot_file *file);
void ot_file_unref(struct ot_file *file);

/* Reads up to `bytes` at `place`; fewer only at the end of the file.
 * @owner any thread   @blocks when the range is cold: worker, unless ot_file_is_cached() */
OT_MUST_USE ot_err ot_file_read(struct ot_file *file, void *to, size_t bytes, uint64_t place,
    size_t *ret_bytes);

/* Writes all pieces at `place`, in order, or fails; then the range's content is undefined (a prefix
 * of it may have been written) and the caller truncates or overwrites. OT_ERR_NO_SPACE, OT_ERR_IO.
 * @owner any thread   @blocks rarely */
OT_MUST_USE ot_err ot_file_write(struct ot_file *file, const struct iovec *pieces, int piece_count,
    uint64_t place);

/* Reserves disk space for the range without changing the size that reads see. A host that cannot
 * gives OT_OK as well: a reservation is speed, not a promise, but OT_ERR_NO_SPACE is reported.
 * @owner any thread   @blocks rarely */
OT_MUST_USE ot_err ot_file_reserve(struct ot_file *file, uint64_t place, uint64_t bytes);

/* Cuts the file to `bytes` and gives reserved space behind it back; or grows it with zeros.
 * @owner any thread   @blocks rarely */
OT_MUST_USE ot_err ot_file_truncate(struct ot_file *file, uint64_t bytes);

/* The size that reads see. @owner any thread   @blocks never */
OT_MUST_USE ot_err ot_file_size(struct ot_file *file, uint64_t *ret_bytes);

/* See durability above. @owner any thread   @blocks: worker */
OT_MUST_USE ot_err ot_file_sync(struct ot_file *file);

/* Starts writing a range to the disk without waiting: keeps a long append from piling up dirty
 * pages. No promise of durability. @owner any thread   @blocks rarely: worker */
void ot_file_write_back(struct ot_file *file, uint64_t place, uint64_t bytes);

/* Whether the whole range is in the page cache at this moment; the answer can be stale at once.
 * True when the host cannot tell. @owner any thread   @blocks never */
bool ot_file_is_cached(struct ot_file *file, uint64_t place, uint64_t bytes);

/* What an implementation of the door provides; the functions above are thin calls of these. */
struct ot_fs_ops {
	ot_err (*open)(struct ot_fs *, const char *, unsigned, struct ot_file **);
	ot_err (*mkdir)(struct ot_fs *, const char *);
	ot_err (*list)(struct ot_fs *, const char *, ot_fs_visit *, void *);
	ot_err (*rename)(struct ot_fs *, const char *, const char *);
	ot_err (*remove)(struct ot_fs *, const char *);
	ot_err (*sync_dir)(struct ot_fs *, const char *);
	ot_err (*stat)(struct ot_fs *, const char *, struct ot_fs_stat *);
	ot_err (*space)(struct ot_fs *, const char *, struct ot_fs_space *);
	ot_err (*boot_id)(struct ot_fs *, char *);
	ot_err (*lock)(struct ot_fs *, const char *, struct ot_file **);
	void (*close)(struct ot_file *);
	ot_err (*read)(struct ot_file *, void *, size_t, uint64_t, size_t *);
	ot_err (*write)(struct ot_file *, const struct iovec *, int, uint64_t);
	ot_err (*reserve)(struct ot_file *, uint64_t, uint64_t);
	ot_err (*truncate)(struct ot_file *, uint64_t);
	ot_err (*size)(struct ot_file *, uint64_t *);
	ot_err (*sync)(struct ot_file *);
	void (*write_back)(struct ot_file *, uint64_t, uint64_t);
	bool (*is_cached)(struct ot_file *, uint64_t, uint64_t);
};

/* An implementation's own types begin with these. */
struct ot_fs {
	const struct ot_fs_ops *ops; /* [const] */
};

struct ot_file {
	struct ot_fs *fs;      /* [const] */
	_Atomic uint32_t refs; /* [atomic] */
};

/* For implementations: the first reference. @owner any thread */
void ot_file_init(struct ot_file *file, struct ot_fs *fs);

/* The host's file system; one for the process. @owner any thread */
struct ot_fs *ot_fs_host(void);

/* The descriptor of a file of the host's, for sendfile; -1 for a simulated one. Inside src/io.
 * @owner any thread   @blocks never */
int ot_file_host_fd(const struct ot_file *file);

#endif

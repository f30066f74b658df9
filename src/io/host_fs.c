/* The host's file system behind the door of fs.h. Every call is the system call of its name; what
 * is done beyond that is said where it is done. */
#include "io/fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/panic.h"

#ifndef SYS_cachestat
#define SYS_cachestat 451
#endif

enum {
	HOST_FILE_MODE = 0644,
	HOST_DIR_MODE = 0755,
	HOST_PIECES_MAX = 1024,
	HOST_PAGE_BYTES = 4096
};

struct host_file {
	struct ot_file file;
	int fd; /* [const] */
};

static struct host_file *
host_of(const struct ot_file *file)
{
	return (struct host_file *)(uintptr_t)file;
}

static ot_err
last_error(void)
{
	return ot_err_from_errno(errno);
}

static ot_err
wrap_fd(struct ot_fs *fs, int fd, struct ot_file **ret_file)
{
	struct host_file *file = OT_NEW(struct host_file);
	ot_file_init(&file->file, fs);
	file->fd = fd;
	*ret_file = &file->file;
	return OT_OK;
}

static ot_err
host_open(struct ot_fs *fs, const char *path, unsigned flags, struct ot_file **ret_file)
{
	int mode = (flags & OT_OPEN_WRITE) != 0 ? O_RDWR : O_RDONLY;
	mode |= (flags & OT_OPEN_CREATE) != 0 ? O_CREAT : 0;
	mode |= (flags & OT_OPEN_EXCLUSIVE) != 0 ? O_EXCL : 0;
	mode |= (flags & OT_OPEN_TRUNCATE) != 0 ? O_TRUNC : 0;
	int fd = open(path, mode | O_CLOEXEC, HOST_FILE_MODE);
	return fd < 0 ? last_error() : wrap_fd(fs, fd, ret_file);
}

static ot_err
host_mkdir(struct ot_fs *fs, const char *path)
{
	(void)fs;
	return mkdir(path, HOST_DIR_MODE) == 0 ? OT_OK : last_error();
}

static bool
is_folder_entry(DIR *dir, const struct dirent *entry)
{
	if (entry->d_type != DT_UNKNOWN && entry->d_type != DT_LNK)
		return entry->d_type == DT_DIR;
	struct stat st;
	return fstatat(dirfd(dir), entry->d_name, &st, 0) == 0 && S_ISDIR(st.st_mode);
}

static ot_err
host_list(struct ot_fs *fs, const char *path, ot_fs_visit *visit, void *arg)
{
	(void)fs;
	DIR *dir = opendir(path);
	if (dir == NULL)
		return last_error();
	ot_err err = OT_OK;
	while (err == OT_OK) {
		errno = 0;
		const struct dirent *entry = readdir(dir);
		if (entry == NULL) {
			err = last_error();
			break;
		}
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		err = visit(arg, entry->d_name, is_folder_entry(dir, entry));
	}
	closedir(dir);
	return err;
}

static ot_err
host_rename(struct ot_fs *fs, const char *from, const char *to)
{
	(void)fs;
	return rename(from, to) == 0 ? OT_OK : last_error();
}

static ot_err
host_remove(struct ot_fs *fs, const char *path)
{
	(void)fs;
	if (unlink(path) == 0)
		return OT_OK;
	/* Linux says EISDIR for a folder where POSIX says EPERM. */
	if (errno != EISDIR && errno != EPERM)
		return last_error();
	return rmdir(path) == 0 ? OT_OK : last_error();
}

static ot_err
host_sync_dir(struct ot_fs *fs, const char *path)
{
	(void)fs;
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return last_error();
	ot_err err = fsync(fd) == 0 ? OT_OK : last_error();
	close(fd);
	return err;
}

static ot_err
host_stat(struct ot_fs *fs, const char *path, struct ot_fs_stat *ret_stat)
{
	(void)fs;
	struct stat st;
	if (stat(path, &st) != 0)
		return last_error();
	*ret_stat = (struct ot_fs_stat){
		.bytes = (uint64_t)st.st_size,
		.bytes_disk = (uint64_t)st.st_blocks * 512,
		.modified =
		    (ot_wall_ms)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / OT_NS_PER_MS,
		.is_dir = S_ISDIR(st.st_mode),
	};
	return OT_OK;
}

static ot_err
host_space(struct ot_fs *fs, const char *path, struct ot_fs_space *ret_space)
{
	(void)fs;
	struct statvfs st;
	if (statvfs(path, &st) != 0)
		return last_error();
	ret_space->bytes_total = (uint64_t)st.f_blocks * st.f_frsize;
	ret_space->bytes_free = (uint64_t)st.f_bavail * st.f_frsize;
	return OT_OK;
}

static ot_err
host_boot_id(struct ot_fs *fs, char *ret_id)
{
	(void)fs;
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return OT_ERR_NOT_FOUND;
	ssize_t got = read(fd, ret_id, OT_FS_BOOT_ID_BYTES - 1);
	close(fd);
	while (got > 0 && ret_id[got - 1] == '\n')
		got--;
	if (got <= 0)
		return OT_ERR_NOT_FOUND;
	ret_id[got] = '\0';
	return OT_OK;
}

static ot_err
host_lock(struct ot_fs *fs, const char *path, struct ot_file **ret_file)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, HOST_FILE_MODE);
	if (fd < 0)
		return last_error();
	/* A lock of fcntl's kind is what Kafka's own processes take (java.nio FileLock), so that
	 * the two refuse each other; of the open file, so that it ends with this reference
	 * alone. */
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	if (fcntl(fd, F_OFD_SETLK, &lock) != 0) {
		ot_err err = errno == EAGAIN || errno == EACCES ? OT_ERR_EXISTS : last_error();
		close(fd);
		return err;
	}
	return wrap_fd(fs, fd, ret_file);
}

static void
host_close(struct ot_file *file)
{
	close(host_of(file)->fd);
	ot_free(host_of(file));
}

static ot_err
host_read(struct ot_file *file, void *to, size_t bytes, uint64_t place, size_t *ret_bytes)
{
	size_t done = 0;
	while (done < bytes) {
		ssize_t got = pread(host_of(file)->fd, (char *)to + done, bytes - done,
		    (off_t)(place + done));
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return last_error();
		if (got == 0)
			break;
		done += (size_t)got;
	}
	*ret_bytes = done;
	return OT_OK;
}

/* Writes a single piece from `skip` on: the slow way home after a short gathered write. */
static ot_err
write_piece(int fd, const struct iovec *piece, size_t skip, uint64_t place)
{
	while (skip < piece->iov_len) {
		ssize_t put =
		    pwrite(fd, (char *)piece->iov_base + skip, piece->iov_len - skip, (off_t)place);
		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return last_error();
		skip += (size_t)put;
		place += (size_t)put;
	}
	return OT_OK;
}

/* At most HOST_PIECES_MAX pieces; a short write is finished piece by piece. */
static ot_err
write_pieces(int fd, const struct iovec *pieces, int count, uint64_t place, uint64_t *ret_bytes)
{
	ssize_t put;
	do {
		put = pwritev(fd, pieces, count, (off_t)place);
	} while (put < 0 && errno == EINTR);
	if (put < 0)
		return last_error();
	uint64_t total = 0;
	size_t left = (size_t)put;
	for (int i = 0; i < count; i++) {
		size_t covered = OT_MIN(left, pieces[i].iov_len);
		left -= covered;
		if (covered < pieces[i].iov_len) {
			ot_err err = write_piece(fd, &pieces[i], covered, place + total + covered);
			if (err != OT_OK)
				return err;
		}
		total += pieces[i].iov_len;
	}
	*ret_bytes = total;
	return OT_OK;
}

static ot_err
host_write(struct ot_file *file, const struct iovec *pieces, int piece_count, uint64_t place)
{
	while (piece_count > 0) {
		int count = OT_MIN(piece_count, (int)HOST_PIECES_MAX);
		uint64_t bytes = 0;
		ot_err err = write_pieces(host_of(file)->fd, pieces, count, place, &bytes);
		if (err != OT_OK)
			return err;
		pieces += count;
		piece_count -= count;
		place += bytes;
	}
	return OT_OK;
}

static ot_err
host_reserve(struct ot_file *file, uint64_t place, uint64_t bytes)
{
	int result = fallocate(host_of(file)->fd, FALLOC_FL_KEEP_SIZE, (off_t)place, (off_t)bytes);
	if (result == 0 || errno == EOPNOTSUPP || errno == ENOSYS || errno == EINTR)
		return OT_OK;
	return last_error();
}

static ot_err
host_truncate(struct ot_file *file, uint64_t bytes)
{
	return ftruncate(host_of(file)->fd, (off_t)bytes) == 0 ? OT_OK : last_error();
}

static ot_err
host_size(struct ot_file *file, uint64_t *ret_bytes)
{
	struct stat st;
	if (fstat(host_of(file)->fd, &st) != 0)
		return last_error();
	*ret_bytes = (uint64_t)st.st_size;
	return OT_OK;
}

static ot_err
host_sync(struct ot_file *file)
{
	return fdatasync(host_of(file)->fd) == 0 ? OT_OK : last_error();
}

static void
host_write_back(struct ot_file *file, uint64_t place, uint64_t bytes)
{
	(void)sync_file_range(host_of(file)->fd, (off_t)place, (off_t)bytes, SYNC_FILE_RANGE_WRITE);
}

/* Whether a read of that byte would not wait. */
static bool
is_page_ready(struct ot_file *file, uint64_t place)
{
	char byte;
	struct iovec piece = { &byte, 1 };
	ssize_t got = preadv2(host_of(file)->fd, &piece, 1, (off_t)place, RWF_NOWAIT);
	return got >= 0 || errno != EAGAIN;
}

/* cachestat counts pages whose read is still under way, and whoever reads those waits for the disk:
 * with a sequential reader the kernel's read-ahead is always some way ahead. Reads end in order,
 * so the last page tells. */
static bool
host_is_cached(struct ot_file *file, uint64_t place, uint64_t bytes)
{
	struct {
		uint64_t place;
		uint64_t bytes;
	} range = { place, bytes };
	struct {
		uint64_t cached, dirty, writeback, evicted, recently_evicted; /* in pages */
	} stat = { 0 };
	if (bytes == 0 || syscall(SYS_cachestat, host_of(file)->fd, &range, &stat, 0) != 0)
		return true;
	uint64_t first = place / HOST_PAGE_BYTES;
	uint64_t last = (place + bytes - 1) / HOST_PAGE_BYTES;
	return stat.cached >= last - first + 1 && is_page_ready(file, place + bytes - 1);
}

static const struct ot_fs_ops host_ops = {
	.open = host_open,
	.mkdir = host_mkdir,
	.list = host_list,
	.rename = host_rename,
	.remove = host_remove,
	.sync_dir = host_sync_dir,
	.stat = host_stat,
	.space = host_space,
	.boot_id = host_boot_id,
	.lock = host_lock,
	.close = host_close,
	.read = host_read,
	.write = host_write,
	.reserve = host_reserve,
	.truncate = host_truncate,
	.size = host_size,
	.sync = host_sync,
	.write_back = host_write_back,
	.is_cached = host_is_cached,
};

struct ot_fs *
ot_fs_host(void)
{
	static struct ot_fs host = { .ops = &host_ops };
	return &host;
}

int
ot_file_host_fd(const struct ot_file *file)
{
	return file->fs->ops == &host_ops ? host_of(file)->fd : -1;
}

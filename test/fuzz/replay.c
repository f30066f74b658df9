/* Runs a fuzz target over the files of one folder, one TAP case each: replay_NAME FOLDER.
 *
 * Goal: inputs that once failed, and the seeds, are tried by every compiler and sanitizer in every
 * run of the tests. Method: the target itself asserts; a failure is its abort. */
#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

enum { REPLAY_BYTES_MAX = 1024 * 1024 };

static int
is_seed(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static bool
replay_file(const char *folder, const char *name)
{
	static uint8_t data[REPLAY_BYTES_MAX];
	char path[4096];
	if (snprintf(path, sizeof(path), "%s/%s", folder, name) >= (int)sizeof(path))
		return false;
	FILE *file = fopen(path, "rb");
	if (file == NULL)
		return false;
	size_t bytes = fread(data, 1, sizeof(data), file);
	fclose(file);
	/* A copy of the exact size lets AddressSanitizer see a read past its end. */
	uint8_t *copy = malloc(bytes > 0 ? bytes : 1);
	if (copy == NULL)
		return false;
	for (size_t i = 0; i < bytes; i++)
		copy[i] = data[i];
	LLVMFuzzerTestOneInput(copy, bytes);
	free(copy);
	return true;
}

int
main(int argc, char **argv)
{
	struct dirent **entries;
	int count = argc == 2 ? scandir(argv[1], &entries, is_seed, alphasort) : -1;
	if (count < 1) {
		fprintf(stderr, "replay: needs a folder with at least one seed\n");
		return 1;
	}
	printf("1..%d\n", count);
	for (int i = 0; i < count; i++) {
		bool ok = replay_file(argv[1], entries[i]->d_name);
		printf("%sok %d - %s\n", ok ? "" : "not ", i + 1, entries[i]->d_name);
		fflush(stdout);
		free(entries[i]);
	}
	free(entries);
	return 0;
}

/*
 * replay - runs a fuzz target over the files of its corpus, without libFuzzer
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static int replay_file(const char *path)
{
	FILE *f = fopen(path, "rb");
	uint8_t *data;
	struct stat st;

	if (!f || fstat(fileno(f), &st) != 0 || !S_ISREG(st.st_mode)) {
		if (f) {
			(void)fclose(f);
		}
		return 0;
	}
	/* An exact heap block: ASan sees one byte too far. */
	data = malloc((size_t)st.st_size ? (size_t)st.st_size : 1);
	if (!data || fread(data, 1, (size_t)st.st_size, f) != (size_t)st.st_size) {
		abort();
	}
	LLVMFuzzerTestOneInput(data, (size_t)st.st_size);
	free(data);
	(void)fclose(f);
	return 1;
}

int main(int argc, char **argv)
{
	struct dirent *e;
	int n = 0;
	DIR *d;

	if (argc != 2 || !(d = opendir(argv[1]))) {
		(void)fprintf(stderr, "usage: replay CORPUS_DIR (must exist)\n");
		return 2;
	}
	while ((e = readdir(d))) {
		char path[4096];

		(void)snprintf(path, sizeof(path), "%s/%s", argv[1], e->d_name);
		n += replay_file(path);
	}
	(void)closedir(d);
	printf("%d inputs replayed\n", n);
	return n > 0 ? 0 : 1;
}

/* Runs one pass of an AArch64 object on operands from files: driver FOLDER WORKSPACE_BYTES RESULT_BYTES.
   FOLDER holds table, source, second and bias; the result is written beside them. ENTRY is the pass's name. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern void ENTRY(void *call[]);

void GOMP_parallel(void (*run)(void *), void *data, unsigned threads, unsigned flags)
{
    (void)threads;
    (void)flags;
    run(data);
}

static FILE *in(const char *folder, const char *name, const char *mode)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, mode);
    if (!file) {
        perror(path);
        exit(1);
    }
    return file;
}

static void *content(const char *folder, const char *name)
{
    FILE *file = in(folder, name, "rb");
    fseek(file, 0, SEEK_END);
    long size = ftell(file);
    rewind(file);
    void *bytes = malloc(size + 1);
    if (!bytes || fread(bytes, 1, size, file) != (size_t)size)
        exit(1);
    fclose(file);
    return bytes;
}

int main(int count, char **argument)
{
    if (count != 4)
        return 1;
    const char *folder = argument[1];
    size_t workspace_size = strtoull(argument[2], 0, 10), result_size = strtoull(argument[3], 0, 10);
    void *workspace = malloc(workspace_size + 1), *result = malloc(result_size + 1);
    memset(workspace, 0xFF, workspace_size);
    memset(result, 0xFF, result_size);
    void *call[11] = {content(folder, "table"), content(folder, "source"), content(folder, "second"),
                     content(folder, "bias"), result, workspace, (void *)(intptr_t)2};
    ENTRY(call);
    FILE *file = in(folder, "result", "wb");
    if (fwrite(result, 1, result_size, file) != result_size)
        return 1;
    return fclose(file);
}

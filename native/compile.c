/*
 * Compiles a script to QuickJS-ng's bytecode, without its source: `compile SCRIPT BYTECODE`. It runs where the plugin is built; bytecode is the same
 * on every little-endian machine.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>

#include "quickjs.h"

/* Of the engine: port.c has it otherwise. */
int engine_gettimeofday(struct timeval *now, void *zone)
{
    return gettimeofday(now, zone);
}

static int fail(const char *what, const char *path)
{
    perror(path);
    fprintf(stderr, "compile: cannot %s %s\n", what, path);
    return 1;
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: compile SCRIPT BYTECODE\n");
        return 2;
    }
    FILE *from = fopen(argv[1], "rb");
    if (from == NULL || fseek(from, 0, SEEK_END) != 0) return fail("read", argv[1]);
    long size = ftell(from);
    char *text = size < 0 ? NULL : malloc((size_t)size + 1);
    if (text == NULL || fseek(from, 0, SEEK_SET) != 0 || fread(text, 1, (size_t)size, from) != (size_t)size)
        return fail("read", argv[1]);
    text[size] = '\0';
    fclose(from);

    JSRuntime *runtime = JS_NewRuntime();
    JSContext *ctx = runtime == NULL ? NULL : JS_NewContext(runtime);
    if (ctx == NULL) return fail("start the engine for", argv[1]);
    JSValue program = JS_Eval(ctx, text, (size_t)size, "plugin", JS_EVAL_TYPE_GLOBAL | JS_EVAL_FLAG_COMPILE_ONLY);
    if (JS_IsException(program)) {
        const char *said = JS_ToCString(ctx, JS_GetException(ctx));
        fprintf(stderr, "compile: %s: %s\n", argv[1], said == NULL ? "no memory" : said);
        return 1;
    }
    size_t length;
    uint8_t *code = JS_WriteObject(ctx, &length, program, JS_WRITE_OBJ_BYTECODE | JS_WRITE_OBJ_STRIP_SOURCE | JS_WRITE_OBJ_STRIP_DEBUG);
    FILE *to = code == NULL ? NULL : fopen(argv[2], "wb");
    if (to == NULL || fwrite(code, 1, length, to) != length || fclose(to) != 0) return fail("write", argv[2]);
    js_free(ctx, code);
    JS_FreeValue(ctx, program);
    JS_FreeContext(ctx);
    JS_FreeRuntime(runtime);
    free(text);
    return 0;
}

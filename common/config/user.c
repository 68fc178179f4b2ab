#include "common/config/user.h"

#include <ctype.h>
#include <pwd.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void take_home(struct user *user, const struct passwd *entry)
{
    if (entry->pw_dir == NULL || entry->pw_dir[0] != '/' || entry->pw_dir[1] == '\0' ||
        strcmp(entry->pw_dir, "/nonexistent") == 0)
        return;
    if (strlcpy(user->home, entry->pw_dir, sizeof(user->home)) >= sizeof(user->home))
        user->home[0] = '\0';
}

/* Reads /etc/passwd first, where most users are: a name service can take much longer to load and
 * ask. The result is valid until the next call. */
static const struct passwd *find_user(const char *name, uid_t uid)
{
    FILE *file = fopen("/etc/passwd", "re");
    struct passwd *entry = NULL;
    while (file != NULL && (entry = fgetpwent(file)) != NULL)
        if (name != NULL ? strcmp(entry->pw_name, name) == 0 : entry->pw_uid == uid)
            break;
    if (file != NULL)
        fclose(file);
    if (entry != NULL)
        return entry;
    return name != NULL ? getpwnam(name) : getpwuid(uid);
}

/* strtonum alone would take "+1" and " 1" too. */
static uint32_t parse_id(const char *text, const char **reason)
{
    if (text[strspn(text, "0123456789")] != '\0')
        *reason = "not a number";
    return *reason == NULL ? (uint32_t)strtonum(text, 0, UID_NUMBER_MAX, reason) : 0;
}

static int parse_numbers(const char *text, struct user *user, const char **reason)
{
    char uid_text[USER_NAME_SIZE];
    strlcpy(uid_text, text, sizeof(uid_text));
    char *colon = strchr(uid_text, ':');
    if (colon != NULL)
        *colon = '\0';
    user->uid = parse_id(uid_text, reason);
    if (*reason != NULL)
        return -1;
    user->known = true;
    if (colon != NULL) {
        user->gid = parse_id(colon + 1, reason);
        return *reason == NULL ? 0 : -1;
    }
    const struct passwd *entry = find_user(NULL, user->uid);
    user->gid = entry != NULL ? entry->pw_gid : (gid_t)user->uid;
    if (entry != NULL)
        take_home(user, entry);
    return 0;
}

int user_parse(const char *text, struct user *user, const char **reason)
{
    *reason = NULL;
    memset(user, 0, sizeof(*user));
    if (strlcpy(user->name, text, sizeof(user->name)) >= sizeof(user->name)) {
        *reason = "too long";
        return -1;
    }
    if (isdigit((unsigned char)text[0]))
        return parse_numbers(text, user, reason);
    const struct passwd *entry = find_user(text, 0);
    if (entry == NULL)
        return 0;
    user->known = true;
    user->uid = entry->pw_uid;
    user->gid = entry->pw_gid;
    take_home(user, entry);
    return 0;
}

void user_find_home(struct user *user)
{
    bool wanted = user->known && user->home[0] == '\0';
    const struct passwd *entry = wanted ? find_user(NULL, user->uid) : NULL;
    if (entry != NULL)
        take_home(user, entry);
}

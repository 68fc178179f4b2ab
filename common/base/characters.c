#include "common/base/characters.h"

#include <string.h>

size_t utf8_length(const char *text)
{
    const unsigned char *byte = (const unsigned char *)text;
    unsigned char lead = byte[0], low = 0x80, high = 0xbf;
    size_t length = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    if ((lead >= 0x80 && lead < 0xc2) || lead > 0xf4)
        return 0;
    if (lead == 0xe0)
        low = 0xa0;
    else if (lead == 0xed)
        high = 0x9f;
    else if (lead == 0xf0)
        low = 0x90;
    else if (lead == 0xf4)
        high = 0x8f;
    for (size_t i = 1; i < length; i++) {
        if (byte[i] < low || byte[i] > high)
            return 0;
        low = 0x80;
        high = 0xbf;
    }
    return length;
}

uint32_t utf8_code(const char *text, size_t length)
{
    static const unsigned char lead_bits[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    uint32_t code = (unsigned char)text[0] & lead_bits[length];
    for (size_t i = 1; i < length; i++)
        code = code << 6 | ((unsigned char)text[i] & 0x3f);
    return code;
}

bool is_unprintable(uint32_t code)
{
    static const struct {
        uint32_t first, last;
    } ranges[] = {
        {0x00, 0x1f},
        {0x7f, 0x9f},     /* controls */
        {0x2028, 0x202e}, /* separators of lines, embeddings, overrides */
        {0x2800, 0x2800}, /* Braille without a dot */
        {0xfff9, 0xfffb}, /* interlinear annotation */
        {0xfffe, 0xffff},
        /* Default_Ignorable_Code_Point, of Unicode's DerivedCoreProperties.txt */
        {0xad, 0xad},
        {0x34f, 0x34f},
        {0x61c, 0x61c},
        {0x115f, 0x1160},
        {0x17b4, 0x17b5},
        {0x180b, 0x180f},
        {0x200b, 0x200f},
        {0x2060, 0x206f},
        {0x3164, 0x3164},
        {0xfe00, 0xfe0f},
        {0xfeff, 0xfeff},
        {0xffa0, 0xffa0},
        {0xfff0, 0xfff8},
        {0x1bca0, 0x1bca3},
        {0x1d173, 0x1d17a},
        {0xe0000, 0xe0fff},
    };
    for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++)
        if (code >= ranges[i].first && code <= ranges[i].last)
            return true;
    return false;
}

void make_printable(char *text)
{
    while (*text != '\0') {
        size_t length = utf8_length(text);
        if (length == 0)
            *text = '?';
        else if (is_unprintable(utf8_code(text, length)))
            memset(text, ' ', length);
        text += length > 0 ? length : 1;
    }
}

bool is_printable(const char *text)
{
    while (*text != '\0') {
        size_t length = utf8_length(text);
        if (length == 0 || is_unprintable(utf8_code(text, length)))
            return false;
        text += length;
    }
    return true;
}

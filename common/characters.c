#include "common/characters.h"

bool is_control(char c)
{
    return (unsigned char)c < 0x20 || c == 0x7f;
}

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

void make_printable(char *text)
{
    while (*text != '\0') {
        size_t length = utf8_length(text);
        if (length == 0)
            *text = '?';
        else if (is_control(*text))
            *text = ' ';
        text += length > 0 ? length : 1;
    }
}

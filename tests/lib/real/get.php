<?php
// Prints what a URL answers, by the extension named: get.php streams|curl URL
if ($argv[1] === 'streams') {
    $text = file_get_contents($argv[2]);
} else {
    $curl = curl_init($argv[2]);
    curl_setopt($curl, CURLOPT_RETURNTRANSFER, true);
    $text = curl_exec($curl);
    if ($text === false) {
        fwrite(STDERR, curl_error($curl) . "\n");
    }
}
echo $text;
exit($text === false ? 1 : 0);

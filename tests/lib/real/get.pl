# Prints what a URL answers, by the library named: get.pl LIBRARY URL
use strict;
use warnings;
my ($library, $url) = @ARGV;
if ($library eq 'lwp') {
    require LWP::UserAgent;
    my $answer = LWP::UserAgent->new(timeout => 10)->get($url);
    die $answer->status_line . "\n" unless $answer->is_success;
    print $answer->decoded_content;
} else {
    require HTTP::Tiny;
    my $answer = HTTP::Tiny->new(timeout => 10, verify_SSL => 1)->get($url);
    die "$answer->{status} $answer->{content}\n" unless $answer->{success};
    print $answer->{content};
}

# Prints what a URL answers, by Ruby's own client: get.rb URL
require 'net/http'
puts Net::HTTP.get(URI(ARGV[0]))

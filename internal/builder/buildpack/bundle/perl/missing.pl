#!/usr/bin/perl
# Prints what the cpanfile of the working directory requires at run time and
# this perl does not have, a module a line, with the Debian package it is in by
# convention.
use strict;
use warnings;
use lib 'local/lib/perl5';

our @wanted;
our $phase = 'runtime';
sub requires { push @wanted, [@_[0, 1]] if $phase eq 'runtime' }
sub recommends { }
sub suggests { }
sub conflicts { }
sub feature { }
sub on { my ($name, $block) = @_; local $phase = $name; $block->() if $name =~ /^(runtime|build|configure|test|develop)$/ }
sub build_requires { }
sub configure_requires { }
sub test_requires { }
sub author_requires { }

open my $file, '<', 'cpanfile' or die "cpanfile: $!\n";
my $text = do { local $/; <$file> };
eval "no strict; $text; 1" or die "cpanfile cannot be read: $@";
for (@wanted) {
    my ($module, $version) = @$_;
    next if $module eq 'perl';
    $version =~ s/^\s*>=\s*// if defined $version;
    my $plain = $version && $version =~ /^v?[0-9._]+$/ ? $version : '';
    next if $module =~ /^\w+(::\w+)*$/ && eval "require $module; " . ($plain ? "$module->VERSION(\$plain); 1" : '1');
    (my $package = lc $module) =~ s/::/-/g;
    print "  $module: apt-get install lib$package-perl\n";
}

#!/usr/bin/perl
# Serves the files of a static site on PORT: HTTP/1.1 with keep-alive, GET and
# HEAD, content types, ranges, If-Modified-Since and If-None-Match. One process,
# one event loop, nothing but perl-base, which every Debian has.
#
# The site is the first of: "root" of static.json, public/, the tree itself.
# Names that begin with a dot are never served; nothing outside the root is,
# not even through a symbolic link. static.json may also hold "clean_urls" and
# "error_page".
#
# SIGTERM: no new connections, open requests end, then it exits with 0.
use strict;
use warnings;
use Errno qw(EAGAIN EWOULDBLOCK EINTR);
use Fcntl qw(:DEFAULT :mode);
use POSIX qw(strftime);
use Socket qw(:DEFAULT IPPROTO_TCP TCP_NODELAY);
use Cwd ();

my %TYPES = (
    html => 'text/html; charset=utf-8', htm => 'text/html; charset=utf-8', css => 'text/css; charset=utf-8',
    js => 'text/javascript; charset=utf-8', mjs => 'text/javascript; charset=utf-8', json => 'application/json',
    map => 'application/json', txt => 'text/plain; charset=utf-8', md => 'text/markdown; charset=utf-8',
    xml => 'application/xml', svg => 'image/svg+xml', png => 'image/png', jpg => 'image/jpeg', jpeg => 'image/jpeg',
    gif => 'image/gif', webp => 'image/webp', avif => 'image/avif', ico => 'image/x-icon', pdf => 'application/pdf',
    woff => 'font/woff', woff2 => 'font/woff2', ttf => 'font/ttf', otf => 'font/otf', wasm => 'application/wasm',
    mp4 => 'video/mp4', webm => 'video/webm', mp3 => 'audio/mpeg', ogg => 'audio/ogg', csv => 'text/csv; charset=utf-8',
    webmanifest => 'application/manifest+json', zip => 'application/zip', gz => 'application/gzip',
);
my %REASONS = (
    200 => 'OK', 206 => 'Partial Content', 301 => 'Moved Permanently', 304 => 'Not Modified', 400 => 'Bad Request',
    404 => 'Not Found', 405 => 'Method Not Allowed', 414 => 'URI Too Long', 416 => 'Range Not Satisfiable',
    431 => 'Request Header Fields Too Large', 500 => 'Internal Server Error',
);
my @DAYS   = qw(Sun Mon Tue Wed Thu Fri Sat);
my @MONTHS = qw(Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec);

use constant { MAX_HEAD => 16384, MAX_BODY => 65536, IDLE => 75, HEAD_WAIT => 20, CHUNK => 262144, MAX_CLIENTS => 960 };

my %settings = settings($ARGV[0] && $ARGV[0] eq '--check' ? ($ARGV[1], 1) : ('.', 0));
exit 0 if $settings{checked};
my $root = $settings{root};

# Files of a slug have no times. What a visitor has seen is as old as the
# release that served it.
my $modified = modified();
my $stamp    = http_date($modified);

my %clients;    # by file descriptor
my $stopping = 0;
$SIG{PIPE} = 'IGNORE';
$SIG{TERM} = $SIG{INT} = sub { $stopping = 1 };
serve(listen_on($ENV{PORT} // 5000));
exit 0;

# settings reads static.json; with check it tells what is wrong with it.
sub settings {
    my ($dir, $check) = @_;
    my %found = (root => '', clean => 0, error => '', checked => $check);
    if (open my $file, '<', "$dir/static.json") {
        local $/;
        my $text = <$file> // '';
        $text =~ /^\s*\{.*\}\s*$/s or die "static.json is not a JSON object: write {\"root\": \"public\"} or remove it\n";
        $found{root}  = $1 if $text =~ /"root"\s*:\s*"([^"\\]*)"/;
        $found{error} = $1 if $text =~ /"error_page"\s*:\s*"([^"\\]*)"/;
        $found{clean} = 1  if $text =~ /"clean_urls"\s*:\s*true/;
    }
    $found{root} = $found{root} ne '' ? $found{root} : -d "$dir/public" ? 'public' : '.';
    my $top  = Cwd::realpath($dir);
    my $real = Cwd::realpath("$dir/$found{root}");
    if (!defined $real || !-d $real || ("$real/" !~ m{^\Q$top\E/})) {
        die "the root of static.json, \"$found{root}\", is no directory of the tree\n";
    }
    $found{root} = $real;
    print "Serving $found{root}\n" =~ s{\Q$top\E/?}{/}r if $check;
    return %found;
}

sub modified {
    my $made = $ENV{WORKFLOW_RELEASE_CREATED_AT} // '';
    if ($made =~ /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)/) {
        local $ENV{TZ} = 'UTC';
        POSIX::tzset();
        my $time = POSIX::mktime($6, $5, $4, $3, $2 - 1, $1 - 1900);
        return $time if defined $time;
    }
    return time;
}

sub http_date {
    my ($s, $m, $h, $day, $month, $year, $weekday) = gmtime $_[0];
    return sprintf '%s, %02d %s %04d %02d:%02d:%02d GMT', $DAYS[$weekday], $day, $MONTHS[$month], $year + 1900, $h, $m, $s;
}

sub parse_date {
    $_[0] =~ /^\w+, (\d\d) (\w{3}) (\d{4}) (\d\d):(\d\d):(\d\d) GMT$/ or return;
    my ($day, $name, $year, $h, $m, $s) = ($1, $2, $3, $4, $5, $6);
    for my $month (0 .. 11) {
        next if $MONTHS[$month] ne $name;
        # Days since the epoch, by the civil calendar.
        my $y = $year - ($month < 2 ? 1 : 0);
        my $era = int($y / 400);
        my $of_era = $y - $era * 400;
        my $of_year = int((153 * (($month + 10) % 12) + 2) / 5) + $day - 1;
        my $days = $era * 146097 + $of_era * 365 + int($of_era / 4) - int($of_era / 100) + $of_year - 719468;
        return $days * 86400 + $h * 3600 + $m * 60 + $s;
    }
    return;
}

sub listen_on {
    my ($port) = @_;
    $port =~ /^\d+$/ or die "PORT is \"$port\": it must be a number\n";
    my $host = $ENV{HOST} // '';
    socket(my $socket, PF_INET, SOCK_STREAM, IPPROTO_TCP) or die "socket: $!\n";
    setsockopt $socket, SOL_SOCKET, SO_REUSEADDR, 1;
    my $address = $host =~ /^\d+\.\d+\.\d+\.\d+$/ ? inet_aton($host) : INADDR_ANY;
    bind $socket, sockaddr_in($port, $address) or die "port $port: $!\n";
    listen $socket, 1024 or die "listen: $!\n";
    nonblocking($socket);
    return $socket;
}

sub nonblocking {
    my $flags = fcntl $_[0], F_GETFL, 0;
    fcntl $_[0], F_SETFL, $flags | O_NONBLOCK;
}

sub serve {
    my ($listener) = @_;
    my $swept = time;
    while (1) {
        if ($stopping && $listener) {
            accept_all($listener);    # who is in the queue was promised an answer
            close $listener;
            undef $listener;
        }
        if (!$listener) {
            for my $client (values %clients) {
                drop($client) if !$client->{busy} && $client->{in} eq '' && $client->{out} eq '';
            }
            return if !%clients;
        }
        my ($reads, $writes) = ('', '');
        vec($reads, fileno $listener, 1) = 1 if $listener && keys %clients < MAX_CLIENTS;
        for my $client (values %clients) {
            vec($client->{busy} ? $writes : $reads, $client->{fd}, 1) = 1;
        }
        my $ready = select $reads, $writes, undef, 5;
        if ($ready > 0) {
            accept_all($listener) if $listener && vec($reads, fileno $listener, 1);
            for my $client (values %clients) {
                if    (vec $reads,  $client->{fd}, 1) { readable($client) }
                elsif (vec $writes, $client->{fd}, 1) { writable($client) }
            }
        }
        if (time - $swept >= 5) {
            $swept = time;
            for my $client (values %clients) {
                my $limit = $client->{in} ne '' && !$client->{busy} ? HEAD_WAIT : IDLE;
                drop($client) if $swept - $client->{seen} > ($stopping ? 20 : $limit);
            }
        }
    }
}

sub accept_all {
    my ($listener) = @_;
    for (1 .. 256) {
        return if keys %clients >= MAX_CLIENTS;
        accept(my $socket, $listener) or return;
        nonblocking($socket);
        setsockopt $socket, IPPROTO_TCP, TCP_NODELAY, 1;
        my $client = { socket => $socket, fd => fileno $socket, in => '', out => '', skip => 0, seen => time };
        $clients{ $client->{fd} } = $client;
        readable($client);
    }
}

sub drop {
    my ($client) = @_;
    delete $clients{ $client->{fd} };
    close $client->{file} if $client->{file};
    close $client->{socket};
}

sub readable {
    my ($client) = @_;
    my $got = sysread $client->{socket}, $client->{in}, 65536, length $client->{in};
    if (!defined $got) {
        drop($client) if $! != EAGAIN && $! != EWOULDBLOCK && $! != EINTR;
        return;
    }
    return drop($client) if $got == 0;
    $client->{seen} = time;
    requests($client);
}

# requests answers what has arrived whole, one at a time.
sub requests {
    my ($client) = @_;
    while (!$client->{busy}) {
        if ($client->{skip}) {    # a request's body, which no file has a use for
            my $n = length $client->{in} < $client->{skip} ? length $client->{in} : $client->{skip};
            substr $client->{in}, 0, $n, '';
            $client->{skip} -= $n;
            return if $client->{skip};
        }
        $client->{in} =~ s/^(?:\r?\n)+//;
        my $end = index $client->{in}, "\r\n\r\n";
        if ($end < 0 ? length $client->{in} > MAX_HEAD : $end > MAX_HEAD) {
            $client->{close} = 1;
            answer($client, 431, '');
            return;
        }
        return if $end < 0;
        my $head = substr $client->{in}, 0, $end + 4, '';
        request($client, $head);
        return if !$clients{ $client->{fd} };
    }
}

sub request {
    my ($client, $head) = @_;
    my ($line, @lines) = split /\r\n/, $head;
    my ($method, $target, $minor) = $line =~ m{^([A-Z]+) (\S+) HTTP/1\.([01])$};
    my %header;
    for (@lines) { $header{ lc $1 } = $2 if /^([!-9;-~]+):[ \t]*(.*?)[ \t]*$/ }
    my $connection = lc($header{connection} // '');
    $client->{close} = !defined $method || $connection =~ /\bclose\b/ || ($minor eq '0' && $connection !~ /keep-alive/) || $stopping;
    $client->{head_only} = defined $method && $method eq 'HEAD';
    return answer($client, 400, '') if !defined $method;
    my $length = $header{'content-length'} // 0;
    if (exists $header{'transfer-encoding'} || $length !~ /^\d{1,9}$/ || $length > MAX_BODY) { $client->{close} = 1 }
    else                                                                                    { $client->{skip}  = $length }
    return answer($client, 405, "Allow: GET, HEAD\r\n") if $method ne 'GET' && $method ne 'HEAD';
    resource($client, $target, \%header);
}

# resource finds the file of a request's target.
sub resource {
    my ($client, $target, $header) = @_;
    $target =~ s{^https?://[^/]*}{}i;
    my ($path, $query) = $target =~ m{^(/[^?]*)(\?.*)?$};
    return answer($client, 400, '') if !defined $path;
    my $escaped = $path;
    $path =~ s/%([0-9A-Fa-f]{2})/chr hex $1/ge;
    return answer($client, 400, '') if $path =~ /\0/;
    # Dots lead nowhere: hidden names and parents do not exist here.
    return missing($client) if $path =~ m{/\.} && $path !~ m{^/\.well-known/(?!.*/\.)};
    my $name = $root . $path;
    if (-d $name) {
        if ($path !~ m{/$}) {
            $escaped =~ s{^/+}{/};
            return answer($client, 301, "Location: $escaped/" . ($query // '') . "\r\n");
        }
        $name .= 'index.html';
    }
    elsif ($settings{clean} && !-e $name && -f "$name.html") { $name .= '.html' }
    elsif ($path =~ m{/$})                                   { return missing($client) }
    file($client, 200, $name, $header) or missing($client);
}

sub missing {
    my ($client) = @_;
    for my $page ($settings{error}, '404.html') {
        return if $page ne '' && $page !~ m{(^|/)\.} && file($client, 404, "$root/$page", {});
    }
    answer($client, 404, '');
}

# file answers with a regular file below the root, or returns 0.
sub file {
    my ($client, $status, $name, $header) = @_;
    my $real = Cwd::realpath($name);
    return 0 if !defined $real || index($real, "$root/") != 0;
    sysopen my $file, $real, O_RDONLY | O_NONBLOCK or return 0;
    my ($device, $inode, $mode, $size) = (stat $file)[ 0, 1, 2, 7 ];
    if (!S_ISREG($mode)) { close $file; return 0 }
    my $tag    = sprintf '"%x-%x"', $modified, $size;
    my ($ext)  = $real =~ /\.([A-Za-z0-9]+)$/;
    my $fields = "Last-Modified: $stamp\r\nETag: $tag\r\nAccept-Ranges: bytes\r\nX-Content-Type-Options: nosniff\r\n";
    if ($status == 200 && unchanged($header, $tag)) {
        close $file;
        answer($client, 304, $fields);
        return 1;
    }
    $fields .= 'Content-Type: ' . ($TYPES{ lc($ext // '') } // 'application/octet-stream') . "\r\n";
    my ($from, $length) = (0, $size);
    if ($status == 200 && defined $header->{range} && !defined $header->{'if-range'} && $header->{range} =~ /^bytes=(\d{0,15})-(\d{0,15})$/ && "$1$2" ne '') {
        $from = $1 ne '' ? $1 : $2 > $size ? 0 : $size - $2;
        my $to = $1 eq '' || $2 eq '' || $2 >= $size ? $size - 1 : $2;
        if ($from > $to) {
            close $file;
            answer($client, 416, "Content-Range: bytes */$size\r\n");
            return 1;
        }
        ($status, $length) = (206, $to - $from + 1);
        $fields .= "Content-Range: bytes $from-$to/$size\r\n";
    }
    sysseek $file, $from, 0;
    $client->{file} = $file;
    $client->{left} = $length;
    start($client, $status, $fields . "Content-Length: $length\r\n", '');
    return 1;
}

sub unchanged {
    my ($header, $tag) = @_;
    my $match = $header->{'if-none-match'};
    return $match eq '*' || index($match, $tag) >= 0 if defined $match;
    my $since = parse_date($header->{'if-modified-since'} // '');
    return defined $since && $since >= $modified;
}

# answer sends a status with a short text.
sub answer {
    my ($client, $status, $fields) = @_;
    my $text = $status == 304 ? '' : "$status $REASONS{$status}\n";
    $fields .= 'Content-Type: text/plain; charset=utf-8' . "\r\nContent-Length: " . length($text) . "\r\n" if $status != 304;
    start($client, $status, $fields, $text);
}

sub start {
    my ($client, $status, $fields, $text) = @_;
    $text = '' if $client->{head_only};
    if ($client->{head_only} && $client->{file}) {
        close $client->{file};
        delete $client->{file};
    }
    $client->{out} = "HTTP/1.1 $status $REASONS{$status}\r\nDate: " . http_date(time) . "\r\n$fields" . ($client->{close} ? "Connection: close\r\n" : '') . "\r\n$text";
    $client->{busy} = 1;
    push_out($client);
}

sub writable {
    my ($client) = @_;
    push_out($client);
    requests($client) if $clients{ $client->{fd} } && !$client->{busy} && $client->{in} ne '';
}

# push_out writes until the connection is full or the answer is out.
sub push_out {
    my ($client) = @_;
    while (1) {
        if ($client->{file} && length $client->{out} < CHUNK) {
            my $want = $client->{left} < CHUNK ? $client->{left} : CHUNK;
            my $got = $want ? sysread $client->{file}, $client->{out}, $want, length $client->{out} : 0;
            return drop($client) if !defined $got || ($want && !$got);    # shorter than promised
            $client->{left} -= $got;
            if (!$client->{left}) {
                close $client->{file};
                delete $client->{file};
            }
        }
        last if $client->{out} eq '';
        my $sent = syswrite $client->{socket}, $client->{out};
        if (!defined $sent) {
            return if $! == EAGAIN || $! == EWOULDBLOCK || $! == EINTR;
            return drop($client);
        }
        $client->{seen} = time;
        substr $client->{out}, 0, $sent, '';
    }
    return drop($client) if $client->{close};
    $client->{busy} = 0;
}

<?php
// What PHP's web server asks before it answers: files that are not for
// visitors are not there, and a path that is no file belongs to index.php.
$path = rawurldecode(strtok($_SERVER['REQUEST_URI'], '?'));
$root = $_SERVER['DOCUMENT_ROOT'];
$hidden = preg_match('#(^|/)\.(?!well-known(/|$))#', $path);
if (realpath($root) === realpath(dirname(__DIR__))) {
    $hidden = $hidden || preg_match('#^/+(vendor|node_modules|bin|composer\.(json|lock)|package(-lock)?\.json|Procfile)(/|$)#i', $path);
}
if ($hidden) {
    http_response_code(404);
    echo "404 Not Found\n";
    return true;
}
if (!file_exists($root . $path) && is_file("$root/index.php")) {
    $_SERVER['SCRIPT_NAME'] = $_SERVER['PHP_SELF'] = '/index.php';
    $_SERVER['SCRIPT_FILENAME'] = "$root/index.php";
    chdir($root);
    require "$root/index.php";
    return true;
}
return false;

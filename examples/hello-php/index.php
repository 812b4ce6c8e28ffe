<?php
echo "Hello from PHP, ", $_SERVER['REQUEST_URI'], "\n";

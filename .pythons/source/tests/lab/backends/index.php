<?php
// A voice application in PHP: it answers webhooks, and has no idea of WebSockets.
if (str_starts_with($_SERVER['REQUEST_URI'], '/webhooks')) {
    header('Content-Type: application/json');
    echo '{"result":"ok"}';
    return;
}
http_response_code(404);
echo '<h1>404 Not Found</h1>';

run ->(env) { [200, { "content-type" => "text/plain" }, ["Hello from Ruby, #{env["PATH_INFO"]}\n"]] }

module rmqgateway/bench/generator_http

go 1.22

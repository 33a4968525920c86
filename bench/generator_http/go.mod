module rmqgateway/bench/generator_http

go 1.23

require rmqgateway/bench/generating v0.0.0

replace rmqgateway/bench/generating => ../generating

# What limma makes of variances and estimates. Reads a table from standard input, writes one.
#
# Rscript limma.R < cases.tsv > answers.tsv
#
# In:  case, variance, df, coefficient, stdev_unscaled; the rows of a case are its estimates.
# Out: the same, and df_prior, var_prior, var_post, df_total, t, p. A last case, `squeezeVar_help`,
#      is the example of help(squeezeVar); it has no coefficients, so no df_total, t and p.

suppressPackageStartupMessages(library(limma))

squeezed <- function(case) {
  squeeze <- squeezeVar(case$variance, df = case$df)
  case$df_prior <- squeeze$df.prior
  case$var_prior <- squeeze$var.prior
  case$var_post <- squeeze$var.post
  case
}

moderated <- function(case) {
  fit <- new("MArrayLM", list(
    coefficients = matrix(case$coefficient),
    stdev.unscaled = matrix(case$stdev_unscaled),
    sigma = sqrt(case$variance),
    df.residual = case$df
  ))
  fit <- eBayes(fit)
  case <- squeezed(case)
  stopifnot(all.equal(case$var_post, fit$s2.post))
  case$df_total <- fit$df.total
  case$t <- fit$t[, 1]
  case$p <- fit$p.value[, 1]
  case
}

input <- read.delim(file("stdin"), stringsAsFactors = FALSE)
answers <- lapply(split(input, factor(input$case, unique(input$case))), moderated)

set.seed(20140610)
example <- data.frame(
  case = "squeezeVar_help", variance = rchisq(20, df = 5) / 5, df = 5,
  coefficient = NA, stdev_unscaled = NA
)
example <- squeezed(example)
example[c("df_total", "t", "p")] <- NA

answers <- do.call(rbind, c(answers, list(example)))
for (name in names(answers)[-1]) answers[[name]] <- sprintf("%.17g", answers[[name]])
write.table(answers, sep = "\t", quote = FALSE, row.names = FALSE)
message("R ", getRversion(), ", limma ", packageVersion("limma"))
